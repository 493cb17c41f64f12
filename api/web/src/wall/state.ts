/** What a tile says about itself: one state, from the camera's own state, the socket's and the age of what is on screen. Pure. */
import type { Link } from "../media/client";
import type { SlotReport } from "../media/protocol";
import { ageMs, STALE_AFTER_MS } from "../media/stale";
import type { Camera, StreamState, UtcMicros } from "../wire";

export type TileState =
  | { is: "empty" }
  | { is: "live"; ageMs: number; fps: number }
  | { is: "key"; ageMs: number }
  | { is: "stale"; ageMs: number }
  | { is: "offline"; state: StreamState; sinceUs: UtcMicros | null | undefined }
  | { is: "paused"; state: StreamState }
  | { is: "refused"; code: string; sentence: { zh: string; en: string } }
  | { is: "codec"; codec: string }
  | { is: "line"; word: "lost" | "waiting"; sinceUs: UtcMicros | undefined }
  | { is: "disconnected" }
  | { is: "waiting"; sinceMs: number };

/** The node writes its states as words; spaces and dashes do not change what they mean. */
export const stateWord = (state: StreamState | undefined): string => (state?.word ?? "unknown").replaceAll(/[\s-]/g, "_");

/** States in which the camera sends nothing. */
const OFFLINE = new Set(["backing_off", "connecting"]);

/** The stream that key-frame tiles show: the sub-stream, or the main one of a camera that has no other. */
export function wallStream(camera: Camera): Camera["streams"][number] | undefined {
  return camera.streams.find((stream) => stream.kind === "sub") ?? camera.streams[0];
}

export function tileState(
  camera: Camera | undefined,
  report: SlotReport | undefined,
  link: Link,
  nowMs: number,
  nodeUs: UtcMicros,
): TileState {
  if (!camera) return { is: "empty" };
  const stream = camera.streams.find((one) => one.kind === report?.tier) ?? wallStream(camera);
  const word = stateWord(stream?.state);
  const presented = report?.presented;
  const age = presented ? ageMs(presented, nowMs, nodeUs) : undefined;
  const fresh = age !== undefined && age < STALE_AFTER_MS;

  // A fresh picture is the best witness: the camera list is asked only every few seconds.
  if (fresh) {
    return report?.tier === "key" ? { is: "key", ageMs: age } : { is: "live", ageMs: age, fps: report?.fps ?? 0 };
  }
  if (!camera.enabled || word === "paused") return { is: "paused", state: stream?.state ?? { word } };
  // A first connection is not an outage; an attempt after pictures had come is.
  const everSeen = stream?.last_unit_us != null;
  if (stream && OFFLINE.has(word) && (everSeen || word !== "connecting")) {
    return { is: "offline", state: stream.state, sinceUs: stream.last_unit_us ?? stream.state.since_us };
  }
  // A picture that stands still because of the line says so: it must not pass for the camera's doing, nor for live.
  if (report?.trouble?.why === "line") return { is: "line", word: report.trouble.word, sinceUs: report.trouble.sinceUs };
  if (age !== undefined) return { is: "stale", ageMs: age };
  if (report?.trouble?.why === "refused") return { is: "refused", code: report.trouble.code, sentence: report.trouble.state };
  if (report?.trouble?.why === "codec") return { is: "codec", codec: report.trouble.codec };
  if (link.state === "lost") return { is: "disconnected" };
  return { is: "waiting", sinceMs: link.sinceMs };
}
