import { expect, test } from "vitest";
import { correction, MasterClock } from "./clock";

test("footage time is wall time times rate, and stands while paused", () => {
  const clock = new MasterClock(1_000_000, 0);
  expect(clock.at(500)).toBe(1_000_000);
  clock.run(true, 500);
  expect(clock.at(1500)).toBe(2_000_000);
  clock.setRate(4, 1500);
  expect(clock.at(2500)).toBe(6_000_000);
  clock.run(false, 2500);
  expect(clock.at(9000)).toBe(6_000_000);
});

test("a picture that is near is nudged against its error, one that is far is moved", () => {
  expect(correction(0, 1)).toEqual({ do: "rate", rate: 1 });
  expect(correction(0.04, 1)).toEqual({ do: "rate", rate: 0.96 });
  expect(correction(-0.1, 2)).toEqual({ do: "rate", rate: 2.1 });
  expect(correction(-0.13, 1)).toEqual({ do: "seek" });
  expect(correction(0.2, 2)).toEqual({ do: "rate", rate: 1.9 });
});
