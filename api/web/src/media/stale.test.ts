import { expect, test } from "vitest";
import { ageMs, STALE_AFTER_MS } from "./stale";

test("a picture drawn long ago is old even if the node's clock is unknown to us", () => {
  expect(ageMs({ atMs: 1000, utcUs: 9e15 }, 6000, 8e15)).toBe(5000);
});

test("an old picture drawn just now is old", () => {
  expect(ageMs({ atMs: 6000, utcUs: 1_000_000 }, 6000, 61_000_000)).toBe(60_000);
  expect(60_000).toBeGreaterThan(STALE_AFTER_MS);
});

test("a clock that runs ahead never makes an age negative", () => {
  expect(ageMs({ atMs: 6000, utcUs: 2_000_000 }, 6000, 1_000_000)).toBe(0);
});
