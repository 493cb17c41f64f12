/** Where tiles stand: the spot top left, the key-frame tiles around its right and lower edge, in one grid of equal cells. */
import type { Layout } from "./address";

/** In fractions of the wall. */
export type Place = { x: number; y: number; width: number; height: number };
export type Arrangement = { spot: Place; tiles: Place[] };

/** Columns and rows of the grid, and the spot's in cells: the rest is exactly the layout's number of tiles. Cells are as near to the
 * shape of a picture as such a rest allows. */
const GRIDS: Record<Layout, { columns: number; rows: number; spot: [columns: number, rows: number] }> = {
  1: { columns: 1, rows: 1, spot: [1, 1] },
  4: { columns: 5, rows: 4, spot: [4, 4] },
  9: { columns: 5, rows: 5, spot: [4, 4] },
  16: { columns: 5, rows: 5, spot: [3, 3] },
  25: { columns: 7, rows: 7, spot: [6, 4] },
  36: { columns: 8, rows: 6, spot: [4, 3] },
  64: { columns: 10, rows: 10, spot: [6, 6] },
};

export function arrange(layout: Layout): Arrangement {
  const { columns, rows, spot } = GRIDS[layout];
  const [spotColumns, spotRows] = spot;
  const cell = (column: number, row: number, wide: number, high: number): Place => ({
    x: column / columns,
    y: row / rows,
    width: wide / columns,
    height: high / rows,
  });
  const tiles: Place[] = [];
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      if (column >= spotColumns || row >= spotRows) tiles.push(cell(column, row, 1, 1));
    }
  }
  return { spot: cell(0, 0, spotColumns, spotRows), tiles };
}

export type Direction = "up" | "down" | "left" | "right";

/** The tile an arrow leads to: the nearest whose centre lies that way, sideways distance counting double. Stays if there is none. */
export function neighbour(tiles: readonly Place[], from: number, direction: Direction): number {
  const start = tiles[from];
  if (!start) return 0;
  let best = from;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const [index, tile] of tiles.entries()) {
    const dx = tile.x + tile.width / 2 - (start.x + start.width / 2);
    const dy = tile.y + tile.height / 2 - (start.y + start.height / 2);
    const along = { up: -dy, down: dy, left: -dx, right: dx }[direction];
    const aside = direction === "up" || direction === "down" ? Math.abs(dx) : Math.abs(dy);
    if (along < 1e-6) continue;
    const distance = along + 2 * aside;
    if (distance < bestDistance - 1e-9) {
      best = index;
      bestDistance = distance;
    }
  }
  return best;
}
