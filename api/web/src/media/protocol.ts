/** What the page and its media worker tell each other. Plain data on both sides. */

/** What is asked of the server for one channel: key units of the smaller stream, or every unit of one stream. */
export type LiveTier = "key" | "sub" | "main";

/** Where a channel's picture goes on the shared canvas, in device pixels. */
export type Rect = { x: number; y: number; width: number; height: number };

/** One tile that the page wants to see. `slot` names the place on the screen; a camera may stand in two. */
export type Want = { slot: string; camera: number; tier: LiveTier; rect: Rect };

export type ToWorker =
  | { op: "open"; url: string; canvas: OffscreenCanvas }
  | { op: "show"; wants: Want[]; width: number; height: number }
  | { op: "hide"; hidden: boolean }
  | { op: "close" };

/** Why a slot has no picture, as far as the socket and the decoder know. */
export type SlotTrouble =
  | { why: "refused"; code: string; state: { zh: string; en: string } }
  | { why: "ended"; word: string }
  /** At a centre: the line to the camera's room is lost, or has no room for it now. It comes again by itself. */
  | { why: "line"; word: "lost" | "waiting"; sinceUs?: number }
  | { why: "codec"; codec: string };

export type SlotReport = {
  slot: string;
  camera: number;
  tier: LiveTier;
  /** The last picture drawn; absent before the first. Clock: `performance.timeOrigin + performance.now()`. */
  presented?: { atMs: number; utcUs: number };
  /** Pictures drawn a second, over the last two. */
  fps: number;
  width: number;
  height: number;
  trouble?: SlotTrouble;
};

export type FromWorker =
  | { op: "link"; state: "connecting" | "open" | "lost"; sinceMs: number; attempt: number }
  | { op: "slots"; slots: SlotReport[]; kbitPerS: number; framesHeld: number; framesHeldMax: number; decoders: number }
  | { op: "first"; slot: string; camera: number; atMs: number };
