import { expect, test } from "vitest";
import type { SlotReport } from "../media/protocol";
import type { Camera } from "../wire";
import { tileState } from "./state";

const nowMs = 1_000_000;
const nodeUs = nowMs * 1000;
const link = { state: "open", sinceMs: 0 } as const;
const camera = (word: string): Camera => ({
  id: 7,
  name: "南门岗亭",
  place: [],
  initials: "",
  enabled: true,
  retention: "standard",
  priority: "normal",
  transport: "tcp",
  driver_wanted: null,
  audio: null,
  has_password: false,
  managed: "api",
  streams: [{ kind: "sub", state: { word, since_us: 5 } }],
});
const report = (ageS: number, tier: SlotReport["tier"] = "key"): SlotReport => ({
  slot: "a",
  camera: 7,
  tier,
  fps: 25,
  width: 640,
  height: 360,
  presented: { atMs: nowMs - ageS * 1000, utcUs: nodeUs - ageS * 1e6 },
});

test.each([
  ["playing", 1, "key"],
  ["playing", 3.9, "key"],
  ["playing", 4, "stale"],
  ["playing", 60, "stale"],
  ["backing off", 1, "key"],
  ["backing off", 5, "offline"],
  ["backing_off", 60, "offline"],
  ["paused", 60, "paused"],
])("camera %s, picture %d s old: %s", (word, age, is) => {
  expect(tileState(camera(word), report(age), link, nowMs, nodeUs).is).toBe(is);
});

test("a full-rate tile says its rate while it is fresh, and is stale like any other", () => {
  expect(tileState(camera("playing"), report(0.1, "sub"), link, nowMs, nodeUs)).toMatchObject({ is: "live", fps: 25 });
  expect(tileState(camera("playing"), report(4.1, "sub"), link, nowMs, nodeUs).is).toBe("stale");
});

test("a lost server leaves a stale picture, and says so where there is none", () => {
  const lost = { state: "lost", sinceMs: 0 } as const;
  expect(tileState(camera("playing"), report(9), lost, nowMs, nodeUs).is).toBe("stale");
  expect(tileState(camera("playing"), undefined, lost, nowMs, nodeUs).is).toBe("disconnected");
});

test("a tile that never had a picture says why when it is known", () => {
  const bare = { slot: "a", camera: 7, tier: "main", fps: 0, width: 0, height: 0 } as const;
  expect(tileState(camera("playing"), bare, link, nowMs, nodeUs).is).toBe("waiting");
  expect(tileState(camera("playing"), { ...bare, trouble: { why: "codec", codec: "hvc1" } }, link, nowMs, nodeUs).is).toBe(
    "codec",
  );
  expect(tileState(undefined, undefined, link, nowMs, nodeUs).is).toBe("empty");
});

test("a picture that stands because of the line to its room says so once it is not fresh, whatever else is known", () => {
  const lost = { ...report(9), trouble: { why: "line", word: "lost", sinceUs: 77 } } as const;
  expect(tileState(camera("playing"), lost, link, nowMs, nodeUs)).toEqual({ is: "line", word: "lost", sinceUs: 77 });
  expect(tileState(camera("playing"), { ...report(1), trouble: lost.trouble }, link, nowMs, nodeUs).is).toBe("key");
});
