import { expect, test } from "vitest";
import type { Camera } from "../wire";
import { byException, severityOf } from "./order";

const camera = (id: number, name: string, ...words: string[]): Camera => ({
  id,
  name,
  place: ["东苑社区"],
  initials: "nmgt",
  enabled: true,
  retention: "standard",
  priority: "normal",
  transport: "tcp",
  driver_wanted: null,
  audio: null,
  has_password: false,
  managed: "api",
  streams: words.map((word, index) => ({ kind: index ? "sub" : "main", state: { word } })),
});

const all = [camera(1, "南门", "playing", "playing"), camera(2, "北门", "paused"), camera(3, "西门", "playing", "backing_off")];

test("what is broken comes first, even if only one of its streams is", () => {
  expect(byException(all, "").map(({ id }) => id)).toEqual([3, 2, 1]);
});

test.each([
  ["2", [2]],
  ["南", [1]],
  ["NMGT", [3, 2, 1]],
  ["东苑", [3, 2, 1]],
  ["nowhere", []],
])("filter %s", (filter, ids) => expect(byException(all, filter).map(({ id }) => id)).toEqual(ids));

test("an unknown severity is looked at", () => expect(severityOf("odd")).toBe("high"));
