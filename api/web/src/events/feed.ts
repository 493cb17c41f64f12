/**
 * New events as they happen: one socket, resumed after the last number that was heard, for ever. The node catches up from its
 * journal, so a page that was cut off misses nothing; how long it has been cut off is shown.
 */
import { useEffect, useRef, useState } from "react";
import { feedUrl } from "../api";
import { reconnectDelayMs } from "../media/backoff";
import type { FoundEvent } from "../wire";

/** `seq` of the newest record heard; `undefined` before the node said where its journal ends. */
export type FeedMessage = { hello: { tail: number } } | { seq: number; event: FoundEvent };

/** A message of the feed, or nothing if it is not one. */
export function parseFeed(text: string): FeedMessage | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const message = value as { hello?: { tail?: unknown }; seq?: unknown; event?: unknown };
  if (typeof message.hello?.tail === "number") return { hello: { tail: message.hello.tail } };
  if (typeof message.seq === "number" && typeof message.event === "object" && message.event !== null) {
    return { seq: message.seq, event: message.event as FoundEvent };
  }
  return undefined;
}

/** Hears the feed while mounted. `onEvent` is told every new event once. Gives whether the feed is up. */
export function useFeed(onEvent: (event: FoundEvent) => void): "connecting" | "open" | "lost" {
  const [state, setState] = useState<"connecting" | "open" | "lost">("connecting");
  const latest = useRef(onEvent);
  latest.current = onEvent;
  useEffect(() => {
    let after: number | undefined;
    let attempt = 0;
    let closed = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let socket: WebSocket | undefined;
    const connect = () => {
      const opening = new WebSocket(feedUrl(after));
      socket = opening;
      opening.addEventListener("open", () => {
        attempt = 0;
        setState("open");
      });
      opening.addEventListener("message", ({ data }) => {
        const message = typeof data === "string" ? parseFeed(data) : undefined;
        if (!message) return;
        if ("hello" in message) after ??= message.hello.tail;
        else if (after === undefined || message.seq > after) {
          after = message.seq;
          latest.current(message.event);
        }
      });
      opening.addEventListener("close", () => {
        if (closed) return;
        setState("lost");
        timer = setTimeout(connect, reconnectDelayMs(attempt++, Math.random()));
      });
    };
    connect();
    return () => {
      closed = true;
      clearTimeout(timer);
      socket?.close();
    };
  }, []);
  return state;
}
