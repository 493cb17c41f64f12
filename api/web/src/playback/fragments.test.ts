import { expect, test } from "vitest";
import type { FragmentEntry } from "../wire";
import { FragmentList } from "./fragments";

const fragment = (second: number, key = second % 2 === 0): FragmentEntry => ({
  from_us: second * 1e6,
  to_us: (second + 1) * 1e6,
  key,
  init: "/init",
  uri: `/f/${second}`,
  bytes: 1,
});
const seconds = (entries: readonly FragmentEntry[]) => entries.map((entry) => entry.from_us / 1e6);

test("decoding starts at the key fragment before the instant wanted", () => {
  const list = new FragmentList();
  list.add(
    [10, 11, 12, 13, 14].map((second) => fragment(second)),
    10e6,
    15e6,
  );
  expect(seconds(list.needed(13.5e6, 15e6))).toEqual([12, 13, 14]);
  expect(seconds(list.needed(12e6, 13e6))).toEqual([12]);
});

test("an instant in a gap needs what follows the gap, and has no fragment", () => {
  const list = new FragmentList();
  list.add([fragment(10), fragment(11), fragment(30)], 0, 40e6);
  expect(list.at(20e6)).toBeUndefined();
  expect(seconds(list.needed(28e6, 35e6))).toEqual([30]);
});

test("answers that overlap are merged, and what was asked is known", () => {
  const list = new FragmentList();
  list.add([fragment(10), fragment(11)], 10e6, 12e6);
  list.add([fragment(11), fragment(12)], 11e6, 20e6);
  expect(seconds(list.entries)).toEqual([10, 11, 12]);
  expect(list.covers(10e6, 20e6)).toBe(true);
  expect(list.covers(9e6, 12e6)).toBe(false);
});
