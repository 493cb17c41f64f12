/** The order of the camera table: what is broken first, then by number. And which severity a word of the node means. Pure. */

import { stateWord } from "../wall/state";
import type { Camera, StreamState } from "../wire";

export type Severity = "urgent" | "high" | "medium" | "info";

const SEVERITIES: Record<string, Severity> = {
  urgent: "urgent",
  critical: "urgent",
  error: "high",
  high: "high",
  warning: "medium",
  medium: "medium",
  low: "info",
  info: "info",
};

/** A severity this page does not know is shown as high: better looked at than overlooked. */
export const severityOf = (word: string): Severity => SEVERITIES[word] ?? "high";

export const GLYPHS: Record<Severity, string> = { urgent: "▲", high: "◆", medium: "●", info: "○" };

/** Higher is worse. */
function badness(state: StreamState): number {
  switch (stateWord(state)) {
    case "playing":
      return 0;
    case "paused":
      return 1;
    case "connecting":
      return 2;
    default:
      return 3;
  }
}

export const worstStream = (camera: Camera) =>
  camera.streams.reduce<Camera["streams"][number] | undefined>(
    (worst, stream) => (worst === undefined || badness(stream.state) > badness(worst.state) ? stream : worst),
    undefined,
  );

const badnessOf = (camera: Camera) => {
  const worst = worstStream(camera);
  return worst ? badness(worst.state) : 3;
};

export function byException(cameras: readonly Camera[], filter: string): Camera[] {
  const wanted = filter.trim().toLowerCase();
  const fits = (camera: Camera) =>
    wanted === "" ||
    String(camera.id) === wanted ||
    [camera.name, camera.initials, ...camera.place].some((text) => text.toLowerCase().includes(wanted));
  return cameras.filter(fits).sort((a, b) => badnessOf(b) - badnessOf(a) || a.id - b.id);
}
