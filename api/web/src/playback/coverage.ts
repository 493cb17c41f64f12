/** What coverage rows say about an instant and about a span. Pure. Past the last interval nothing is known yet: never call that a gap. */
import type { CoverageRow, Hold, UtcMicros } from "../wire";

export const RECORDED = 0;
/** `GapCause::NotConfigured` of index/src/model/gap.rs: the camera did not exist yet. Nothing is missing that was ever to be there,
 * so it is drawn quietly and not listed as a loss. */
export const NOT_CONFIGURED = 1;

export type Missing = {
  camera: number;
  fromUs: UtcMicros;
  toUs: UtcMicros;
  code: number;
  share: number;
  /** What the place that knows the cause added: by which rule and when it was deleted, for one. */
  detail?: string;
};
export type AtInstant = { is: "recorded" } | { is: "gap"; gap: Missing } | { is: "unknown" };

const detailOf = (row: CoverageRow, index: number): { detail: string } | undefined => {
  const found = row.details?.find(([at]) => at === index);
  return found && { detail: found[1] };
};

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
  if (code === RECORDED) return { is: "recorded" };
  return { is: "gap", gap: { camera: row.camera, fromUs, toUs, code, share, ...detailOf(row, low) } };
}

/** Losses of all rows that touch the span, by camera and then by time; neighbours with the same cause are one. */
export function gapsIn(rows: readonly CoverageRow[], fromUs: UtcMicros, toUs: UtcMicros): Missing[] {
  const gaps: Missing[] = [];
  for (const row of rows) {
    let last: Missing | undefined;
    for (const [index, [start, end, code, share]] of row.intervals.entries()) {
      if (code === RECORDED || code === NOT_CONFIGURED || end <= fromUs || start >= toUs) {
        last = undefined;
        continue;
      }
      const detail = detailOf(row, index)?.detail;
      if (last && last.code === code && last.toUs === start && last.detail === detail) {
        last.toUs = end;
        continue;
      }
      last = { camera: row.camera, fromUs: start, toUs: end, code, share, ...(detail !== undefined && { detail }) };
      gaps.push(last);
    }
  }
  return gaps;
}

/** Footage that is kept past its term: `waiting` while nobody but the asker has approved it. */
export type HeldSpan = { id: number; camera: number; fromUs: UtcMicros; toUs: UtcMicros; untilUs: UtcMicros; waiting: boolean };

/** The holds in force on these cameras, one span a camera. */
export function heldSpans(holds: readonly Hold[], cameras: readonly number[]): HeldSpan[] {
  return holds
    .filter(({ state }) => state === "active" || state === "requested")
    .flatMap(({ id, cameras: held, from_us, to_us, expires_us, state }) =>
      held
        .filter((camera) => cameras.includes(camera))
        .map((camera) => ({ id, camera, fromUs: from_us, toUs: to_us, untilUs: expires_us, waiting: state === "requested" })),
    );
}
