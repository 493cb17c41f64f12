/**
 * What happens, as it happens: one socket for the whole page, resumed after the last number that was heard, for ever. The node
 * catches up from its journal, so a page that was cut off misses no event; alarms come as they now are, all of them after each
 * connecting. How long it has been cut off is shown.
 */
import { useEffect, useRef } from "react";
import { create } from "zustand";
import { feedUrl } from "../api";
import { reconnectDelayMs } from "../media/backoff";
import type { Alarm, FoundEvent, Incident } from "../wire";

/** `seq` of the newest record heard; `undefined` before the node said where its journal ends. */
export type FeedMessage =
  | { hello: { tail: number } }
  | { seq: number; event: FoundEvent }
  | { seen: number }
  | { alarms: Alarm[]; all: boolean }
  | { incidents: Incident[] };

/** A message of the feed, or nothing if it is not one. */
export function parseFeed(text: string): FeedMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const message = value as Record<"hello" | "seq" | "event" | "seen" | "alarms" | "all" | "incidents", unknown>;
  const tail = (message.hello as { tail?: unknown } | undefined)?.tail;
  if (typeof tail === "number") return { hello: { tail } };
  if (typeof message.seen === "number") return { seen: message.seen };
  if (Array.isArray(message.alarms)) return { alarms: message.alarms as Alarm[], all: message.all === true };
  if (Array.isArray(message.incidents)) return { incidents: message.incidents as Incident[] };
  if (typeof message.seq === "number" && typeof message.event === "object" && message.event !== null) {
    return { seq: message.seq, event: message.event as FoundEvent };
  }
  return undefined;
}

export type Listener = {
  event?(event: FoundEvent): void;
  alarms?(alarms: readonly Alarm[], all: boolean): void;
  incidents?(incidents: readonly Incident[]): void;
};

const listeners = new Set<Listener>();
const useState = create<{ state: "connecting" | "open" | "lost" }>(() => ({ state: "connecting" }));
let after: number | undefined;
let attempt = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let socket: WebSocket | undefined;

function connect(): void {
  const opening = new WebSocket(feedUrl(after));
  socket = opening;
  opening.addEventListener("open", () => {
    attempt = 0;
    useState.setState({ state: "open" });
  });
  opening.addEventListener("message", ({ data }) => {
    const message = typeof data === "string" && socket === opening ? parseFeed(data) : undefined;
    if (!message) return;
    if ("hello" in message) after ??= message.hello.tail;
    else if ("seen" in message) after = Math.max(after ?? 0, message.seen);
    else if ("alarms" in message) for (const listener of [...listeners]) listener.alarms?.(message.alarms, message.all);
    else if ("incidents" in message) for (const listener of [...listeners]) listener.incidents?.(message.incidents);
    else if (after === undefined || message.seq > after) {
      after = message.seq;
      for (const listener of [...listeners]) listener.event?.(message.event);
    }
  });
  opening.addEventListener("close", () => {
    if (socket !== opening) return;
    useState.setState({ state: "lost" });
    timer = setTimeout(connect, reconnectDelayMs(attempt++, Math.random()));
  });
}

/** Hears the feed until the returned function is called. The socket is open while anybody listens. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  if (listeners.size === 1) connect();
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearTimeout(timer);
    const closing = socket;
    socket = undefined;
    after = undefined;
    attempt = 0;
    useState.setState({ state: "connecting" });
    closing?.close();
  };
}

/** Hears the feed while mounted. `onEvent` is told every new event once. Gives whether the feed is up. */
export function useFeed(onEvent: (event: FoundEvent) => void): "connecting" | "open" | "lost" {
  const latest = useRef(onEvent);
  latest.current = onEvent;
  useEffect(() => listen({ event: (event) => latest.current(event) }), []);
  return useState((feed) => feed.state);
}
