import { expect, test } from "vitest";
import { Channels } from "./channels";
import type { LiveTier, Want } from "./protocol";

const rect = { x: 0, y: 0, width: 1, height: 1 };
const want = (slot: string, camera: number, tier: LiveTier = "key"): Want => ({ slot, camera, tier, rect });

test("nothing is asked before the connection is up, and everything once it is", () => {
  const channels = new Channels();
  expect(channels.want([want("a", 1), want("b", 2)])).toEqual([]);
  expect(channels.opened()).toEqual([
    { op: "sub", ch: 1, camera: 1, tier: "key" },
    { op: "sub", ch: 2, camera: 2, tier: "key" },
  ]);
});

test("a tile that changes its camera is unsubscribed and asked for on a fresh channel", () => {
  const channels = new Channels();
  channels.opened();
  channels.want([want("a", 1), want("b", 2)]);
  expect(channels.want([want("a", 1), want("b", 3)])).toEqual([
    { op: "unsub", ch: 2 },
    { op: "sub", ch: 3, camera: 3, tier: "key" },
  ]);
  expect(channels.channel(2)).toBeUndefined();
});

test("moving a tile on the screen asks for nothing", () => {
  const channels = new Channels();
  channels.opened();
  channels.want([want("a", 1)]);
  expect(channels.want([{ ...want("a", 1), rect: { ...rect, x: 50 } }])).toEqual([]);
});

test("after a lost connection the same wishes are asked again", () => {
  const channels = new Channels();
  channels.opened();
  channels.want([want("a", 1, "main")]);
  channels.lost();
  expect(channels.want([want("a", 1, "main")])).toEqual([]);
  expect(channels.opened()).toEqual([{ op: "sub", ch: 1, camera: 1, tier: "main" }]);
});

test("a channel that the node ended is asked for again, once, on a fresh channel", () => {
  const channels = new Channels();
  channels.opened();
  channels.want([want("a", 1), want("b", 2)]);
  channels.ended(1);
  expect(channels.want([want("a", 1), want("b", 2)])).toEqual([]);
  expect(channels.again()).toEqual([{ op: "sub", ch: 3, camera: 1, tier: "key" }]);
  expect(channels.again()).toEqual([]);
});

test("what was ended and is no longer wanted is not even unsubscribed", () => {
  const channels = new Channels();
  channels.opened();
  channels.want([want("a", 1)]);
  channels.ended(1);
  expect(channels.want([])).toEqual([]);
});
