/** Events as marks on the timeline: which ones stand on which camera's row, and which one the pointer is at. Pure. */
import type { FoundEvent, UtcMicros } from "../wire";

export type Mark = { us: UtcMicros; heavy: boolean; event: FoundEvent };

/** Marks nearer to the pointer than this are named. */
const NEAR_PX = 7;
/** More than these are a number. */
export const NAMED = 4;

/** By camera, oldest first. An event about several cameras stands on the row of each. */
export function marksOf(events: readonly FoundEvent[], cameras: readonly number[]): ReadonlyMap<number, readonly Mark[]> {
  const rows = new Map(cameras.map((camera) => [camera, [] as Mark[]]));
  for (const event of [...events].reverse()) {
    const heavy = event.severity === "warning" || event.severity === "alarm";
    for (const camera of event.camera === null ? event.cameras : [event.camera]) {
      rows.get(camera)?.push({ us: event.time_us, heavy, event });
    }
  }
  return rows;
}

/** The marks at a place, nearest first; `pxUs` is how long a pixel is. */
export function near(marks: readonly Mark[], us: UtcMicros, pxUs: number): readonly Mark[] {
  const away = (mark: Mark) => Math.abs(mark.us - us);
  return marks.filter((mark) => away(mark) <= NEAR_PX * pxUs).sort((one, other) => away(one) - away(other));
}
