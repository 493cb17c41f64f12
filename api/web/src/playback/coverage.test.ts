import { expect, test } from "vitest";
import type { CoverageRow, Hold } from "../wire";
import { gapsIn, heldSpans, stateAt } from "./coverage";

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

test("what was deleted says by which rule and when, at an instant and in the list, and is not joined to its neighbour", () => {
  const text = "deleted by rule standard-30d at 2026-11-23 02:00";
  const deleted: CoverageRow = { ...row, details: [[1, text]] };
  const at = stateAt(deleted, 120);
  expect(at.is === "gap" && at.gap.detail).toBe(text);
  expect(gapsIn([deleted], 0, 190).map((gap) => [gap.fromUs, gap.detail])).toEqual([
    [100, text],
    [150, undefined],
  ]);
});

test("only holds that keep footage are marked, on the cameras they name", () => {
  const hold = { id: 3, cameras: [5, 6], from_us: 10, to_us: 20, expires_us: 99, state: "active" } as Hold;
  const others: Hold[] = [
    { ...hold, id: 4, state: "requested" },
    { ...hold, id: 5, state: "released" },
  ];
  expect(heldSpans([hold, ...others], [5]).map(({ id, camera, waiting }) => [id, camera, waiting])).toEqual([
    [3, 5, false],
    [4, 5, true],
  ]);
});
