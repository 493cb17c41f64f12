import { expect, test } from "vitest";
import { centred, following, LONGEST_US, SHORTEST_US, spanOf, ticks, usAt, xOf, zoomed } from "./scale";

const hour = 3600e6;

test("zooming keeps the instant under the pointer where it is", () => {
  const view = centred(100 * hour, hour);
  const around = usAt(view, 300, 1200);
  const closer = zoomed(view, 0.25, around);
  expect(spanOf(closer)).toBe(hour / 4);
  expect(xOf(closer, around, 1200)).toBeCloseTo(300);
});

test("the span stays between a second and thirty days", () => {
  const view = centred(100 * hour, hour);
  expect(spanOf(zoomed(view, 1e-9, 100 * hour))).toBe(SHORTEST_US);
  expect(spanOf(zoomed(view, 1e9, 100 * hour))).toBe(LONGEST_US);
});

test("a view follows its play head only when it leaves", () => {
  const view = centred(100 * hour, hour);
  expect(following(view, 100 * hour)).toBe(view);
  const moved = following(view, 101 * hour);
  expect(xOf(moved, 101 * hour, 100)).toBeCloseTo(20);
});

test("ticks are round in local time and never crowd", () => {
  const offset = 8 * hour;
  const { stepUs, at } = ticks({ fromUs: 10 * hour + 1, toUs: 34 * hour }, 1200, 90, offset);
  expect(stepUs).toBe(2 * hour);
  expect(at.every((us) => (us + offset) % (2 * hour) === 0)).toBe(true);
  expect(at).toHaveLength(12);
});
