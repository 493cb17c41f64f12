import { expect, test } from "vitest";
import type { ReportRow } from "../wire";
import { firstDay, readReports } from "./address";
import { figureOf, median, ranked, scaled, share, took } from "./figures";

const none = { count: 0, median_s: null, p95_s: null };
const row = (name: string, rank?: number, value?: number): ReportRow => ({
  node: name,
  name,
  days: 1,
  running: 0,
  missing: [],
  figures: {
    cameras: 1,
    expected_us: 0,
    recorded_us: 0,
    watched_us: 0,
    online_us: 0,
    promised_us: 0,
    kept_us: 0,
    short: 0,
    faulty_us: 0,
  },
  values: value === undefined ? {} : { completeness: value },
  ranks: rank === undefined ? {} : { completeness: rank },
  all: { kind: null, raised: 0, acknowledge: none, arrive: none, close: none },
  incidents: [],
});

test("what is not whole never reads as 100 %", () => {
  expect([share(1), share(0.999999), share(0.5)]).toEqual(["100.00 %", "99.99 %", "50.00 %"]);
});

test("times are read as a clock, and none is a dash", () => {
  expect([took(42), took(3720), took(null)]).toEqual(["0:42", "1:02:00", "—"]);
  expect(median(none)).toBe("—");
  expect(median({ count: 2, median_s: 30, p95_s: 90 })).toBe("0:30 / 1:30");
  expect(figureOf(row("a"), "online")).toBe("—");
});

test("rows stand by their rank, and those without one last", () => {
  expect(ranked([row("c"), row("b", 2), row("a", 1), row("d", 2)], "completeness").map(({ name }) => name)).toEqual([
    "a",
    "b",
    "d",
    "c",
  ]);
});

test("an axis of shares ends at the whole and begins below the lowest", () => {
  expect(scaled([0.9981, undefined, 1], true)).toMatchObject({ high: 1, at: [expect.any(Number), null, 1] });
  expect(scaled([0.9981], true).low).toBeCloseTo(0.997);
  expect(scaled([3, 6], false)).toEqual({ low: 0, high: 6, at: [0.5, 1] });
  expect(scaled([], false).at).toEqual([]);
});

test("periods end with today's", () => {
  expect([firstDay("2026-11-24", "day"), firstDay("2026-11-24", "week"), firstDay("2026-11-24", "month")]).toEqual([
    "2026-11-11",
    "2026-10-05",
    "2026-06-01",
  ]);
});

test("an address that means nothing is passed over", () => {
  expect(readReports({ s: "year", l: "room", u: "../x", m: "online", p: "yesterday" })).toEqual({ l: "room", m: "online" });
});
