import { expect, test } from "vitest";
import { instantOf, PICTURES, pictureAt } from "./around";

test("the pointer's place says which of the eight, also at the very edges", () => {
  expect([-0.1, 0, 0.13, 0.5, 0.99, 1, 1.2].map(pictureAt)).toEqual([0, 0, 1, 4, 7, 7, 7]);
});

test("the eight pictures begin before the event, hold it, and end after it", () => {
  const instants = Array.from({ length: PICTURES }, (_, n) => instantOf(100e6, n) / 1e6);
  expect(instants).toEqual([94, 96, 98, 100, 102, 104, 106, 108]);
});
