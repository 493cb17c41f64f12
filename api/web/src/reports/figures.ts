/** A report's figures as they are read. Pure. */
import type { ReportMeasure, ReportRow, ReportTook } from "../wire";

/** A share in percent, cut and not rounded: what is not whole never reads as 100. */
export const share = (value: number): string => `${(Math.floor(value * 10_000) / 100).toFixed(2)} %`;

/** Seconds as `0:42`, `1:02:00`. */
export function took(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "—";
  const two = (value: number) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

export const median = (of: ReportTook): string => (of.count === 0 ? "—" : `${took(of.median_s)} / ${took(of.p95_s)}`);

export function figureOf(row: ReportRow, measure: ReportMeasure): string {
  const value = row.values[measure];
  if (value === undefined) return "—";
  if (measure === "acknowledge") return took(value);
  return measure === "faults" ? value.toFixed(3) : share(value);
}

/** Rows by their rank; who has none comes last, by name. */
export function ranked(rows: readonly ReportRow[], measure: ReportMeasure): ReportRow[] {
  const place = (row: ReportRow) => row.ranks[measure] ?? Number.MAX_SAFE_INTEGER;
  return [...rows].sort((a, b) => place(a) - place(b) || a.name.localeCompare(b.name));
}

/** The heights of a chart's points, 0 to 1, from the lowest axis that shows what there is; `null` where there is no figure. */
export function scaled(
  values: readonly (number | undefined)[],
  isShare: boolean,
): { low: number; high: number; at: (number | null)[] } {
  const known = values.filter((value) => value !== undefined);
  const high = isShare ? 1 : Math.max(1e-9, ...known);
  const least = Math.min(high, ...known);
  // Shares are close to whole: the axis begins below the lowest, on a tenth, a half or a whole percent.
  const grain = least > 0.99 ? 0.001 : least > 0.95 ? 0.01 : 0.1;
  const low = isShare ? Math.max(0, Math.floor((least - grain / 2) / grain) * grain) : 0;
  return { low, high, at: values.map((value) => (value === undefined ? null : (value - low) / (high - low || 1))) };
}
