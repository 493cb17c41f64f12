import { expect, test } from "vitest";
import type { LedgerRow } from "../wire";
import { causesOf, gradeOf, lastDays, linesOf, percent, SHAPES, stepped } from "./matrix";

const row = (completeness: number | null, more: Partial<LedgerRow> = {}): LedgerRow => ({
  cameras: 1,
  window_s: 86_400,
  expected_s: 86_400,
  recorded_s: 86_400 * (completeness ?? 0),
  missing_s: 0,
  partial_s: 0,
  units_lost: 0,
  completeness,
  gaps: {},
  ...more,
});

test("a missing second never looks like a full day", () => {
  const almost = 86_399 / 86_400;
  expect(percent(almost)).toBe("99.9");
  expect(gradeOf(row(almost))).toBe("minor");
  expect([percent(1), percent(null), percent(0)]).toEqual(["100", "—", "0.0"]);
});

test("every grade of loss has a shape of its own", () => {
  const grades = [1, 0.995, 0.95, 0.2].map((share) => gradeOf(row(share)));
  expect(grades).toEqual(["full", "minor", "partial", "bad"]);
  const shapes = grades.slice(1).map((grade) => SHAPES[grade]);
  expect(new Set(shapes).size).toBe(3);
  expect(gradeOf(undefined)).toBe("empty");
});

test("rows are gathered by camera, and days that nobody knows stay empty", () => {
  const lines = linesOf([
    row(1, { camera: 7, name: "南门", place: ["东苑"], day: "2026-11-22" }),
    row(0.5, { camera: 7, name: "南门", place: ["东苑"], day: "2026-11-23" }),
    row(1, { camera: 8, name: "东门", place: ["东苑"], day: "2026-11-23" }),
  ]);
  expect(lines.map((line) => [line.key, line.name, line.days.size])).toEqual([
    ["7", "南门", 2],
    ["8", "东门", 1],
  ]);
  expect(linesOf([row(1, { place: ["东苑", "3号楼"], day: "2026-11-23" })])[0]?.key).toBe("东苑/3号楼");
});

test("days are counted back over the end of a month", () => {
  expect(lastDays("2026-03-02", 3)).toEqual(["2026-02-28", "2026-03-01", "2026-03-02"]);
});

test("the longest cause comes first, and arrows stay inside the matrix", () => {
  expect(causesOf({ offline: 3, not_configured: 80_000, network: 40 })).toEqual([
    ["network", 40],
    ["offline", 3],
  ]);
  expect(stepped({ row: 0, column: 3 }, "ArrowUp", 5, 7)).toEqual({ row: 0, column: 3 });
  expect(stepped({ row: 1, column: 3 }, "End", 5, 7)).toEqual({ row: 1, column: 6 });
  expect(stepped({ row: 1, column: 3 }, "KeyA", 5, 7)).toBeUndefined();
});
