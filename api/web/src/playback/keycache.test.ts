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
  cache.put(1, 10e6, unit(0));
  expect(wantedSlots(cache, 1, 10.5e6, -2, 3)).toEqual([8, 6, 4]);
});
