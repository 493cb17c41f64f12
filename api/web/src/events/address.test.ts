import { expect, test } from "vitest";
import { readEvents, setFilters, toggled, wishOf } from "./address";

const NOW = 1_795_399_230e6;

test("what cannot be understood in an address is left out, and what can is asked", () => {
  const address = readEvents({
    q: "南门",
    r: "7d",
    k: "motion,line.crossed",
    v: "warning",
    c: "1，2,x",
    h: "22-6",
    f: "9",
    t: "3",
  });
  expect(address).toEqual({ q: "南门", r: "7d", k: "motion,line.crossed", v: "warning", c: "1,2", h: "22-6" });
  expect(wishOf(address, NOW)).toMatchObject({
    text: "南门",
    kinds: "motion,line.crossed",
    severity: "warning",
    cameras: "1,2",
    hours: "22-6",
  });
});

test("a range that ends now has no end, and the same minute asks the same question", () => {
  const wish = wishOf({ r: "1h" }, NOW);
  expect("to_us" in wish).toBe(false);
  expect(wishOf({ r: "1h" }, NOW + 5e6).from_us).toBe(wish.from_us);
  expect(NOW - wish.from_us).toBeGreaterThanOrEqual(3600e6);
});

test("a span chosen on the histogram is exact and its bars are finer", () => {
  const wish = wishOf(readEvents({ f: "1795390000", t: "1795393600", r: "30d" }), NOW);
  expect([wish.from_us, wish.to_us, wish.histogram_s]).toEqual([1_795_390_000e6, 1_795_393_600e6, 300]);
});

test("kinds are chosen and given up one by one, and an empty answer knows what could be taken away", () => {
  expect(toggled({ k: "motion" }, "line.crossed")).toBe("motion,line.crossed");
  expect(toggled({ k: "motion" }, "motion")).toBeUndefined();
  expect(setFilters({ q: "x", r: "1h", c: "1" })).toEqual(["q", "c"]);
});

test("how it is shown and what is played stand in the address, and change no question", () => {
  const address = readEvents({ r: "1h", w: "table", e: "0193-x" });
  expect(address).toEqual({ r: "1h", w: "table", e: "0193-x" });
  expect(wishOf(address, NOW)).toEqual(wishOf({ r: "1h" }, NOW));
  expect(readEvents({ w: "grid" })).toEqual({});
});
