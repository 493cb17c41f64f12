/** A region of the picture as cells, 32 × 18 of them, and its text as the node and the address read it. Pure. */
import type { UtcMicros } from "../wire";
import type { View } from "./scale";

export const COLUMNS = 32;
export const ROWS = 18;
const CELLS = COLUMNS * ROWS;

export type Cells = ReadonlySet<number>;

/** `40-45,72`: ranges of cells, in order. Empty for none. */
export function cellsText(cells: Cells): string {
  const sorted = [...cells].sort((a, b) => a - b);
  const runs: [number, number][] = [];
  for (const cell of sorted) {
    const last = runs.at(-1);
    if (last && last[1] === cell - 1) last[1] = cell;
    else runs.push([cell, cell]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

/** The inverse; what is no cell is left out. */
export function cellsOf(text: string | undefined): Set<number> {
  const cells = new Set<number>();
  for (const part of (text ?? "").split(",")) {
    const found = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(part.trim());
    if (!found) continue;
    const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
    for (let cell = from; cell <= Math.min(to, CELLS - 1); cell++) cells.add(cell);
  }
  return cells;
}

/** The cell at a place given as shares of the picture. */
export function cellAt(x: number, y: number): number {
  const clamp = (share: number, cells: number) => Math.max(0, Math.min(cells - 1, Math.floor(share * cells)));
  return clamp(y, ROWS) * COLUMNS + clamp(x, COLUMNS);
}

/** Every cell of the rectangle between two. */
export function between(a: number, b: number): number[] {
  const [ax, ay, bx, by] = [a % COLUMNS, Math.floor(a / COLUMNS), b % COLUMNS, Math.floor(b / COLUMNS)];
  const cells: number[] = [];
  for (let y = Math.min(ay, by); y <= Math.max(ay, by); y++) {
    for (let x = Math.min(ax, bx); x <= Math.max(ax, bx); x++) cells.push(y * COLUMNS + x);
  }
  return cells;
}

/** The cell that an arrow key leads to. */
export function stepped(cell: number, code: string): number | undefined {
  const [x, y] = [cell % COLUMNS, Math.floor(cell / COLUMNS)];
  switch (code) {
    case "ArrowLeft":
      return x > 0 ? cell - 1 : cell;
    case "ArrowRight":
      return x < COLUMNS - 1 ? cell + 1 : cell;
    case "ArrowUp":
      return y > 0 ? cell - COLUMNS : cell;
    case "ArrowDown":
      return y < ROWS - 1 ? cell + COLUMNS : cell;
    default:
      return undefined;
  }
}

export const WHENS = ["view", "marks", "day", "week", "month"] as const;
export type When = (typeof WHENS)[number];

/** The time that is searched; undefined where no marks are set. Ends are whole minutes, so that asking again is the same question. */
export function searched(
  when: When,
  view: View,
  inUs: UtcMicros | undefined,
  outUs: UtcMicros | undefined,
  nowUs: UtcMicros,
): View | undefined {
  const minute = 60e6;
  const back = { day: 86_400e6, week: 7 * 86_400e6, month: 30 * 86_400e6 };
  if (when === "marks")
    return inUs !== undefined && outUs !== undefined && inUs < outUs ? { fromUs: inUs, toUs: outUs } : undefined;
  if (when === "view") {
    const toUs = Math.min(Math.ceil(view.toUs / minute) * minute, Math.ceil(nowUs / minute) * minute);
    return { fromUs: Math.floor(view.fromUs / minute) * minute, toUs };
  }
  const toUs = Math.ceil(nowUs / minute) * minute;
  return { fromUs: toUs - back[when], toUs };
}
