import { expect, test } from "vitest";
import { askFor, type CachedUnit, KeyCache, slotOf, wantedSlots } from "./keycache";

const unit = (unitUs: number): CachedUnit => ({
  unitUs,
  data: new Uint8Array(),
  configuration: { codec: "", width: 0, height: 0, configuration: new Uint8Array() },
});

test("the instant asked for a slot lies in that slot", () => {
  expect(slotOf(askFor(41))).toBe(41);
});

test("known units, known absence and ignorance are told apart", () => {
  const cache = new KeyCache();
  cache.put(1, 5.5e6, unit(4e6));
  cache.put(1, 6.5e6, null);
  expect(cache.get(1, 5.9e6)?.unitUs).toBe(4e6);
  expect(cache.get(1, 6e6)).toBeNull();
  expect(cache.get(1, 7e6)).toBeUndefined();
  expect(cache.get(2, 5.9e6)).toBeUndefined();
});

test("the least recently used goes first, and the number kept is bounded", () => {
  const cache = new KeyCache();
  for (let slot = 0; slot < 300; slot++) cache.put(1, slot * 1e6, unit(0));
  cache.get(1, 0);
  cache.put(1, 300e6, unit(0));
  expect(cache.has(1, 0)).toBe(true);
  expect(cache.has(1, 1)).toBe(false);
});

test("only what is not known is asked for, ahead in the direction of the drag", () => {
  const cache = new KeyCache();
  cache.put(1, 10e6, unit(10e6));
  expect(wantedSlots(cache, 1, 10.5e6, -2, 3)).toEqual([8, 6, 4]);
});

const gop = unit;

test("a key unit answers every second from its own to the one asked for", () => {
  const cache = new KeyCache();
  cache.put(1, askFor(13), gop(11.2e6));
  expect([11, 12, 13].map((slot) => cache.get(1, slot * 1e6)?.unitUs)).toEqual([11.2e6, 11.2e6, 11.2e6]);
  expect([cache.has(1, 10), cache.has(1, 14)]).toEqual([false, false]);
});

test("a camera with a key unit every two seconds is asked about every other second, and every second is known", () => {
  const cache = new KeyCache();
  // Two seconds in a row teach the interval.
  cache.put(1, askFor(10), gop(10.5e6));
  cache.put(1, askFor(11), gop(10.5e6));
  cache.put(1, askFor(12), gop(12.5e6));
  expect(wantedSlots(cache, 1, 12.7e6, 1, 3)).toEqual([14, 16, 18]);
  for (const slot of [14, 16]) cache.put(1, askFor(slot), gop(slot * 1e6 + 0.5e6));
  expect([13, 15].map((slot) => cache.get(1, slot * 1e6)?.unitUs)).toEqual([12.5e6, 14.5e6]);
});

test("a longer pause than usual is not bridged: there may be a key unit in it", () => {
  const cache = new KeyCache();
  cache.put(1, askFor(10), gop(10.5e6));
  cache.put(1, askFor(12), gop(12.5e6));
  cache.put(1, askFor(11), gop(10.5e6));
  cache.put(1, askFor(16), gop(16.5e6));
  expect([13, 14, 15].some((slot) => cache.has(1, slot))).toBe(false);
});

test("before the pointer moves, both sides are fetched", () => {
  expect(wantedSlots(new KeyCache(), 1, 10e6, 0, 4)).toEqual([10, 11, 9, 12, 8]);
});
