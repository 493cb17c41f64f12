import { expect, test } from "vitest";
import type { CoverageRow } from "../wire";
import { gapsIn, stateAt } from "./coverage";

const row: CoverageRow = {
  camera: 5,
  stream: "main",
  intervals: [
    [0, 100, 0, 1],
    [100, 150, 3, 0],
    [150, 160, 3, 0],
    [160, 200, 0, 1],
    [200, 210, 7, 0.9],
  ],
};

test.each([
  [0, "recorded"],
  [99, "recorded"],
  [100, "gap"],
  [159, "gap"],
  [160, "recorded"],
  [210, "unknown"],
  [-1, "unknown"],
])("at %i: %s", (us, is) => expect(stateAt(row, us).is).toBe(is));

test("an instant in a gap knows its cause and its ends", () => {
  expect(stateAt(row, 120)).toEqual({ is: "gap", gap: { camera: 5, fromUs: 100, toUs: 150, code: 3, share: 0 } });
});

test("neighbouring gaps of one cause are listed as one, others apart, outside not at all", () => {
  expect(gapsIn([row], 0, 1000)).toEqual([
    { camera: 5, fromUs: 100, toUs: 160, code: 3, share: 0 },
    { camera: 5, fromUs: 200, toUs: 210, code: 7, share: 0.9 },
  ]);
  expect(gapsIn([row], 0, 100)).toEqual([]);
});

test("time before a camera was configured is no loss", () => {
  expect(gapsIn([{ ...row, intervals: [[0, 100, 1, 0]] }], 0, 1000)).toEqual([]);
});
