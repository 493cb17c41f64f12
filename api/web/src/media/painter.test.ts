import { expect, test } from "vitest";
import { within } from "./painter";

test("a wide picture in a square place keeps its shape, centred", () => {
  expect(within(1600, 900, { x: 10, y: 20, width: 320, height: 320 })).toEqual({ x: 10, y: 90, width: 320, height: 180 });
});

test("a portrait picture in a wide place keeps its shape, centred", () => {
  expect(within(90, 160, { x: 0, y: 0, width: 320, height: 160 })).toEqual({ x: 115, y: 0, width: 90, height: 160 });
});
