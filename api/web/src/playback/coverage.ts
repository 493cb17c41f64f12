/** What coverage rows say about an instant and about a span. Pure. Past the last interval nothing is known yet: never call that a gap. */
import type { CoverageRow, UtcMicros } from "../wire";

export const RECORDED = 0;
/** `GapCause::NotConfigured` of index/src/model/gap.rs: the camera did not exist yet. Nothing is missing that was ever to be there,
 * so it is drawn quietly and not listed as a loss. */
export const NOT_CONFIGURED = 1;

export type Missing = { camera: number; fromUs: UtcMicros; toUs: UtcMicros; code: number; share: number };
export type AtInstant = { is: "recorded" } | { is: "gap"; gap: Missing } | { is: "unknown" };

export function stateAt(row: CoverageRow | undefined, us: UtcMicros): AtInstant {
  if (!row) return { is: "unknown" };
  let low = 0;
  let high = row.intervals.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const interval = row.intervals[middle];
    if (interval && interval[1] <= us) low = middle + 1;
    else high = middle;
  }
  const found = row.intervals[low];
  if (!found || found[0] > us) return { is: "unknown" };
  const [fromUs, toUs, code, share] = found;
  return code === RECORDED ? { is: "recorded" } : { is: "gap", gap: { camera: row.camera, fromUs, toUs, code, share } };
}

/** Losses of all rows that touch the span, by camera and then by time; neighbours with the same cause are one. */
export function gapsIn(rows: readonly CoverageRow[], fromUs: UtcMicros, toUs: UtcMicros): Missing[] {
  const gaps: Missing[] = [];
  for (const row of rows) {
    let last: Missing | undefined;
    for (const [start, end, code, share] of row.intervals) {
      if (code === RECORDED || code === NOT_CONFIGURED || end <= fromUs || start >= toUs) {
        last = undefined;
        continue;
      }
      if (last && last.code === code && last.toUs === start) {
        last.toUs = end;
        continue;
      }
      last = { camera: row.camera, fromUs: start, toUs: end, code, share };
      gaps.push(last);
    }
  }
  return gaps;
}
