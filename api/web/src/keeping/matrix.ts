/** The ledger as a matrix: a row a camera or place, a column a day. Pure. */
import type { LedgerRow } from "../wire";

/** How bad a cell is, each with its own shape. `empty`: nothing was expected that day. */
export type Grade = "empty" | "full" | "minor" | "partial" | "bad";

export const SHAPES: Record<Grade, string> = { empty: "", full: "", minor: "◔", partial: "◑", bad: "▨" };

const MINOR_FROM = 0.99;
const PARTIAL_FROM = 0.9;

export function gradeOf(row: LedgerRow | undefined): Grade {
  const share = row?.completeness;
  if (share == null) return "empty";
  if (share >= 1) return "full";
  if (share >= MINOR_FROM) return "minor";
  return share >= PARTIAL_FROM ? "partial" : "bad";
}

/** A share in per cent, never rounded up: 99.99 % is not all. */
export function percent(share: number | null | undefined): string {
  if (share == null) return "—";
  if (share >= 1) return "100";
  return (Math.floor(share * 1000) / 10).toFixed(1);
}

export type Line = {
  key: string;
  name: string;
  camera: number | undefined;
  /** Since when it is no longer recorded. */
  removedUs: number | undefined;
  place: string[];
  days: ReadonlyMap<string, LedgerRow>;
};

/** Rows in the node's order, gathered by camera or place. */
export function linesOf(rows: readonly LedgerRow[]): Line[] {
  const lines = new Map<string, Line & { days: Map<string, LedgerRow> }>();
  for (const row of rows) {
    const place = row.place ?? [];
    const key = row.camera === undefined ? place.join("/") : String(row.camera);
    const named = { key, name: row.name ?? place.at(-1) ?? "", camera: row.camera, removedUs: row.removed_us, place };
    const line = lines.get(key) ?? { ...named, days: new Map() };
    lines.set(key, line);
    if (row.day !== undefined) line.days.set(row.day, row);
  }
  return [...lines.values()];
}

const DAY_MS = 86_400_000;

/** The last `count` days up to and with `today` (`2026-11-23`), oldest first. */
export function lastDays(today: string, count: number): string[] {
  const end = Date.parse(`${today}T00:00:00Z`);
  return Array.from({ length: count }, (_, index) => new Date(end - (count - 1 - index) * DAY_MS).toISOString().slice(0, 10));
}

/** Before a camera was there nothing of it was to be recorded: no loss, and no cause of one. */
const NO_LOSS = "not_configured";

/** Causes with their seconds, the longest first. */
export const causesOf = (gaps: Record<string, number>): [string, number][] =>
  Object.entries(gaps)
    .filter(([cause]) => cause !== NO_LOSS)
    .sort(([, a], [, b]) => b - a);

export type Step = "ArrowUp" | "ArrowDown" | "ArrowLeft" | "ArrowRight" | "Home" | "End";

/** The cell an arrow leads to, within `rows` × `columns`. */
export function stepped(at: { row: number; column: number }, step: string, rows: number, columns: number) {
  const clamp = (value: number, most: number) => Math.max(0, Math.min(most - 1, value));
  const by: Record<Step, [number, number]> = {
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
    Home: [0, -columns],
    End: [0, columns],
  };
  const move = by[step as Step];
  return move && { row: clamp(at.row + move[0], rows), column: clamp(at.column + move[1], columns) };
}
