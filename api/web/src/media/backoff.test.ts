import { expect, test } from "vitest";
import { reconnectDelayMs } from "./backoff";

test("attempts are spread between half of the ceiling and the ceiling, and never stop", () => {
  expect(reconnectDelayMs(0, 0)).toBe(250);
  expect(reconnectDelayMs(0, 1)).toBe(500);
  expect(reconnectDelayMs(3, 1)).toBe(4000);
  expect(reconnectDelayMs(4, 1)).toBe(8000);
  expect(reconnectDelayMs(100_000, 1)).toBe(8000);
});
