import { expect, test } from "vitest";
import type { FoundEvent } from "../wire";
import { marksOf, near } from "./marks";

const event = (seq: number, camera: number | null, cameras: number[], severity: FoundEvent["severity"]): FoundEvent => ({
  id: `e${seq}`,
  node: "n",
  seq,
  time_us: seq * 1e6,
  received_us: seq * 1e6,
  kind: "line.crossed",
  kind_name: { zh: "越线", en: "line crossed" },
  severity,
  camera,
  cameras,
  name: "",
  place: [],
  text: { zh: "", en: "" },
  region: null,
  objects: [],
  source: { name: "", topic: null, id: null },
});

test("an event stands on its camera's row, one about several on the row of each, and others nowhere", () => {
  const events = [
    event(9, 7, [], "notice"),
    event(5, null, [7, 8], "warning"),
    event(3, 4, [], "alarm"),
    event(1, null, [], "alarm"),
  ];
  const rows = marksOf(events, [7, 8, 9]);
  const told = [...rows].map(([camera, marks]) => [camera, marks.map((mark) => [mark.us / 1e6, mark.heavy])]);
  expect(told).toEqual([
    [
      7,
      [
        [5, true],
        [9, false],
      ],
    ],
    [8, [[5, true]]],
    [9, []],
  ]);
});

test("the pointer names the marks within its reach, the nearest first", () => {
  const marks = marksOf([event(9, 7, [], "notice"), event(8, 7, [], "notice"), event(2, 7, [], "notice")], [7]).get(7) ?? [];
  expect(near(marks, 8.2e6, 0.2e6).map((mark) => mark.event.seq)).toEqual([8, 9]);
  expect(near(marks, 5e6, 0.2e6)).toEqual([]);
});
