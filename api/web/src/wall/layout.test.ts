import { expect, test } from "vitest";
import { LAYOUTS } from "./address";
import { arrange, neighbour } from "./layout";

test.each(LAYOUTS.filter((layout) => layout > 1))(
  "a layout of %i has that many tiles beside its spot, and they fill the wall",
  (layout) => {
    const { spot, tiles } = arrange(layout);
    expect(tiles).toHaveLength(layout);
    const area = [spot, ...tiles].reduce((sum, place) => sum + place.width * place.height, 0);
    expect(area).toBeCloseTo(1);
  },
);

test("a single picture is the spot alone", () => {
  expect(arrange(1)).toEqual({ spot: { x: 0, y: 0, width: 1, height: 1 }, tiles: [] });
});

test("arrows walk to the tile beside, and stay at the edge", () => {
  const { tiles } = arrange(16);
  expect(neighbour(tiles, 0, "right")).toBe(1);
  expect(neighbour(tiles, 1, "right")).toBe(1);
  expect(neighbour(tiles, 0, "down")).toBe(2);
  expect(neighbour(tiles, 0, "up")).toBe(0);
  expect(neighbour(tiles, 6, "right")).toBe(7);
  expect(neighbour(tiles, 9, "up")).toBe(4);
});
