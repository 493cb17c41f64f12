import { expect, test } from "vitest";
import { clockTime, moment, preciseTime, span, typedTime } from "./time";

const now = new Date(2026, 10, 23, 14, 5, 27, 250).getTime() * 1000;

test("a time of today has no date, any other has", () => {
  expect(moment(now, now)).toBe("14:05:27");
  expect(moment(now - 86_400_000_000, now)).toBe("2026-11-22 14:05:27");
  expect(preciseTime(now)).toBe("2026-11-23 14:05:27.250");
});

test.each([
  [0, "0 s"],
  [59_999, "59 s"],
  [200_000, "03:20"],
  [7_400_000, "2:03:20"],
  [26 * 3_600_000, "1 d 02 h"],
])("a span of %i ms reads %s", (ms, text) => expect(span(ms)).toBe(text));

test.each([
  ["1404", "14:04:00"],
  ["14:04:31", "14:04:31"],
  ["904", "09:04:00"],
])("typing %s means %s", (text, time) => expect(clockTime(typedTime(text, now) ?? 0)).toBe(time));

test("a time still to come means yesterday's, and nonsense means nothing", () => {
  expect(moment(typedTime("2330", now) ?? 0, now)).toBe("2026-11-22 23:30:00");
  expect(typedTime("2561", now)).toBeUndefined();
  expect(typedTime("now", now)).toBeUndefined();
});
