import { expect, test } from "vitest";
import type { FoundEvent } from "../wire";
import { exportOf, toggledIn } from "./chosen";

const event = (camera: number | null, s: number, name = "") =>
  ({ id: `${camera}-${s}`, camera, name, time_us: s * 1e6 }) as FoundEvent;

test("choosing twice is not choosing", () => {
  const once = toggledIn(new Set(), "a");
  expect([...once]).toEqual(["a"]);
  expect(toggledIn(once, "a").size).toBe(0);
});

test("an export holds every chosen event with what led to it, each camera once", () => {
  expect(exportOf([event(7, 100, "南门"), event(3, 40, "车库"), event(7, 60, "南门"), event(null, 5)])).toEqual({
    cameras: [
      { id: 3, name: "车库" },
      { id: 7, name: "南门" },
    ],
    fromUs: 35e6,
    toUs: 115e6,
  });
});

test("events about no camera have nothing to export", () => {
  expect(exportOf([event(null, 5)])).toBeUndefined();
});
