/**
 * The media worker: one socket to the node, all live decoding and all drawing of a window, away from the thread that answers
 * the keyboard. The parts are next door: `frame` reads the bytes, `channels` decides what to ask for, `source` decodes,
 * `painter` draws. This file only connects them.
 */
import { reconnectDelayMs } from "./backoff";
import { type Channel, Channels, type Control } from "./channels";
import { parseFrame } from "./frame";
import { Painter } from "./painter";
import type { FromWorker, SlotReport, SlotTrouble, ToWorker, Want } from "./protocol";
import { FrameLedger, KeySource, LiveSource, type Picture, type TileSource } from "./source";

type Slot = {
  want: Want;
  source?: TileSource;
  first: boolean;
  drawn: number[];
  presented?: SlotReport["presented"];
  width: number;
  height: number;
  trouble?: SlotTrouble | undefined;
};

const REPORT_EVERY_MS = 250;
/** Refusals that may not be final. Asking again for what is not allowed would only fill the register. */
const PASSING = new Set(["not_found", "busy", "failed"]);
const ASK_AGAIN_MS = 3000;
const FPS_OVER_MS = 2000;
const RATE_OVER_REPORTS = 8;
/** A credit every so many units lets the server see a slow page without a message per picture. */
const CREDIT_EVERY = 8;

const now = () => performance.timeOrigin + performance.now();
const tell = (message: FromWorker) => postMessage(message);

const ledger = new FrameLedger();
const channels = new Channels();
const slots = new Map<string, Slot>();
let painter: Painter | undefined;
let socket: WebSocket | undefined;
let url = "";
let wants: Want[] = [];
let hidden = false;
let closed = false;
let attempt = 0;
/** Bytes of the last two seconds, one number a report: key units come in bursts, and a rate that jumps cannot be read. */
const received = [0];
let again: ReturnType<typeof setTimeout> | undefined;
let reconnect: ReturnType<typeof setTimeout> | undefined;

addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  switch (data.op) {
    case "open":
      open(data.url, data.canvas);
      break;
    case "show":
      wants = data.wants;
      painter?.layout(
        wants.map((want) => [want.slot, want.rect]),
        data.width,
        data.height,
      );
      apply();
      break;
    case "hide":
      hidden = data.hidden;
      apply();
      break;
    case "close":
      close();
  }
});

function open(to: string, canvas: OffscreenCanvas): void {
  const context = canvas.getContext("2d", { alpha: true, desynchronized: true });
  if (!context) return;
  painter = new Painter(canvas, context, ledger, painted);
  url = to;
  connect();
  setInterval(report, REPORT_EVERY_MS);
}

function connect(): void {
  if (closed) return;
  tell({ op: "link", state: "connecting", sinceMs: now(), attempt });
  const opening = new WebSocket(url);
  opening.binaryType = "arraybuffer";
  socket = opening;
  opening.addEventListener("open", () => {
    attempt = 0;
    tell({ op: "link", state: "open", sinceMs: now(), attempt });
    resetSources();
    send(channels.opened());
  });
  opening.addEventListener("message", ({ data }) => {
    if (socket !== opening) return;
    if (typeof data === "string") hear(data);
    else take(data);
  });
  opening.addEventListener("close", () => {
    if (socket !== opening || closed) return;
    socket = undefined;
    channels.lost();
    tell({ op: "link", state: "lost", sinceMs: now(), attempt });
    reconnect = setTimeout(connect, reconnectDelayMs(attempt++, Math.random()));
  });
}

function send(controls: Control[]): void {
  if (socket?.readyState !== WebSocket.OPEN) return;
  for (const control of controls) socket.send(JSON.stringify(control));
}

/** Brings slots and subscriptions in line with what the page wants to see; a hidden page wants nothing. */
function apply(): void {
  const shown = hidden ? [] : wants;
  const named = new Set(shown.map((want) => want.slot));
  for (const [name, slot] of slots) {
    if (named.has(name)) continue;
    slot.source?.close();
    slots.delete(name);
  }
  for (const want of shown) {
    const slot = slots.get(want.slot);
    if (slot && slot.want.camera === want.camera && slot.want.tier === want.tier) {
      slot.want = want;
      continue;
    }
    slot?.source?.close();
    // Another tier of the same camera keeps the picture until the first new one: no black flash on promotion.
    if (slot && slot.want.camera !== want.camera) painter?.clear(want.slot);
    const kept = slot?.want.camera === want.camera ? slot.presented : undefined;
    slots.set(want.slot, { want, first: true, drawn: [], width: 0, height: 0, ...(kept && { presented: kept }) });
  }
  send(channels.want(shown));
  if (channels.exhausted()) socket?.close();
}

function resetSources(): void {
  for (const slot of slots.values()) {
    slot.source?.close();
    delete slot.source;
    slot.trouble = undefined;
  }
}

function take(buffer: ArrayBuffer): void {
  received[0] = (received[0] ?? 0) + buffer.byteLength;
  const frame = parseFrame(buffer);
  if (frame.type === "fault") {
    socket?.close();
    return;
  }
  const channel = channels.channel(frame.channel);
  const slot = channel && slots.get(channel.slot);
  if (!channel || !slot) return;
  switch (frame.type) {
    case "init":
      configure(channel, slot, frame);
      break;
    case "gap":
      slot.source?.gap();
      break;
    default:
      slot.source?.take(frame);
      if (frame.type === "key" || frame.sequence % CREDIT_EVERY === 0) {
        send([{ op: "credit", ch: channel.ch, seq: frame.sequence }]);
      }
  }
}

function configure(channel: Channel, slot: Slot, init: Parameters<TileSource["configure"]>[0]): void {
  slot.source ??= makeSource(channel, slot);
  slot.width = init.width;
  slot.height = init.height;
  slot.trouble = undefined;
  slot.source.configure(init).then((supported) => {
    if (!supported) slot.trouble = { why: "codec", codec: init.codec };
  });
}

function makeSource(channel: Channel, slot: Slot): TileSource {
  const show = (picture: Picture) => {
    if (slots.get(channel.slot) === slot) painter?.show(channel.slot, picture);
    else ledger.close(picture.frame);
  };
  return channel.tier === "key" ? new KeySource(ledger, show) : new LiveSource(ledger, show);
}

function painted(name: string, picture: Picture): void {
  const slot = slots.get(name);
  if (!slot) return;
  const atMs = now();
  slot.presented = { atMs, utcUs: picture.utcUs };
  slot.drawn.push(atMs);
  if (!slot.first) return;
  slot.first = false;
  tell({ op: "first", slot: name, camera: slot.want.camera, atMs });
}

function hear(text: string): void {
  let message: { op?: string; ch?: number; code?: string; word?: string; since_us?: number; state?: { zh: string; en: string } };
  try {
    message = JSON.parse(text);
  } catch {
    return;
  }
  const channel = message.ch === undefined ? undefined : channels.channel(message.ch);
  const slot = channel && slots.get(channel.slot);
  if (!slot) return;
  if (message.op === "error") {
    slot.trouble = { why: "refused", code: message.code ?? "", state: message.state ?? { zh: "", en: "" } };
    if (PASSING.has(slot.trouble.code)) askAgain(channel);
    else channels.ended(channel.ch, true);
  } else if (message.op === "state" && message.word === "playing") {
    slot.trouble = undefined;
  } else if (message.op === "state" && (message.word === "lost" || message.word === "waiting")) {
    const { word, since_us } = message;
    slot.trouble = { why: "line", word, ...(since_us !== undefined && { sinceUs: since_us }) };
  } else if (message.op === "state" && message.word) {
    slot.trouble = { why: "ended", word: message.word };
    askAgain(channel);
  }
}

/** A camera that is not there yet, or was changed: asked for again for ever, a little apart from all the others. */
function askAgain(channel: Channel): void {
  channels.ended(channel.ch);
  slots.get(channel.slot)?.source?.gap();
  again ??= setTimeout(
    () => {
      again = undefined;
      send(channels.again());
    },
    ASK_AGAIN_MS * (0.5 + Math.random()),
  );
}

function report(): void {
  const atMs = now();
  const reports: SlotReport[] = [];
  for (const [name, slot] of slots) {
    slot.drawn = slot.drawn.filter((drawn) => atMs - drawn < FPS_OVER_MS);
    const { want, width, height, presented, trouble } = slot;
    reports.push({
      slot: name,
      camera: want.camera,
      tier: want.tier,
      fps: Math.round((slot.drawn.length * 1000) / FPS_OVER_MS),
      width,
      height,
      ...(presented && { presented }),
      ...(trouble && { trouble }),
    });
  }
  const kbitPerS = Math.round((received.reduce((sum, bytes) => sum + bytes, 0) * 8) / (received.length * REPORT_EVERY_MS));
  received.unshift(0);
  received.length = Math.min(received.length, RATE_OVER_REPORTS);
  const decoders = [...slots.values()].filter((slot) => slot.source).length;
  tell({ op: "slots", slots: reports, kbitPerS, framesHeld: ledger.held, framesHeldMax: ledger.heldMax, decoders });
}

function close(): void {
  closed = true;
  clearTimeout(reconnect);
  clearTimeout(again);
  for (const slot of slots.values()) slot.source?.close();
  slots.clear();
  painter?.layout([], 1, 1);
  socket?.close();
  // `self.close` would shadow this function's name.
  self.close();
}
