import { expect, test } from "vitest";
import type { Camera, RemovedCamera } from "../wire";
import { playable } from "./choice";

const here = { id: 1, name: "南门", place: [], initials: "nm", streams: [{ kind: "main", state: { word: "playing" } }] };
const removed = (id: number): RemovedCamera => ({
  id,
  name: "旧东门",
  place: [],
  initials: "jdm",
  removed_us: 9,
  streams: [{ kind: "main", recorded_from_us: 1, recorded_to_us: 8 }],
});

test("footage of a removed camera can be chosen, unless its number is another camera's now", () => {
  const cameras = [here as unknown as Camera];
  expect(playable({ cameras, removed: [removed(1), removed(2)] }).map(({ id, removedUs }) => [id, removedUs])).toEqual([
    [1, undefined],
    [2, 9],
  ]);
  expect(playable({ cameras })).toHaveLength(1);
});
