import { expect, test } from "vitest";
import type { Alarm, Urgency } from "../wire";
import { merged, nextOf, shownOf, toneFor, waiting } from "./list";

const alarm = (id: string, urgency: Urgency, raised_us: number, by?: string): Alarm => ({
  id,
  event: id,
  rule: 1,
  rule_name: "越线",
  urgency,
  kind: "line.crossed",
  kind_name: { zh: "越线", en: "line crossed" },
  camera: 7,
  name: "南门岗亭",
  place: [],
  text: { zh: "", en: "" },
  at_us: raised_us,
  raised_us,
  last_us: raised_us,
  repeats: 0,
  acknowledged: by === undefined ? null : { by, at_us: raised_us },
});
const known = (...alarms: Alarm[]) => merged(new Map(), alarms, true);

test("the most urgent comes first, then whoever waits longest; what somebody took on is not waiting", () => {
  const open = waiting(
    known(alarm("a", "medium", 1), alarm("b", "urgent", 5), alarm("c", "urgent", 3), alarm("d", "urgent", 2, "wang")),
  );
  expect(open.map(({ id }) => id)).toEqual(["c", "b", "a"]);
});

test("a change replaces one alarm, and a list after connecting replaces all", () => {
  const before = known(alarm("a", "high", 1), alarm("b", "high", 2));
  expect([...merged(before, [alarm("a", "high", 1, "li")], false).keys()]).toEqual(["a", "b"]);
  expect([...merged(before, [alarm("c", "high", 3)], true).keys()]).toEqual(["c"]);
});

test("the key is for the chosen alarm while it waits, else for the first", () => {
  const open = waiting(known(alarm("a", "high", 1), alarm("b", "high", 2)));
  expect(shownOf(open, "b")?.id).toBe("b");
  expect(shownOf(open, "gone")?.id).toBe("a");
  expect(shownOf([], "a")).toBeUndefined();
  expect(nextOf(open, open[0])).toBe("b");
  expect(nextOf(open, open[1])).toBe("a");
  expect(nextOf([], undefined)).toBeUndefined();
});

test("a tone is for what is new and waits: repeats, and what somebody took on, are silent", () => {
  const before = known(alarm("a", "high", 1));
  expect(toneFor(before, [alarm("a", "high", 1)], false)).toBeUndefined();
  expect(toneFor(before, [alarm("b", "high", 2)], false)).toBe("high");
  expect(toneFor(before, [alarm("b", "high", 2), alarm("c", "urgent", 2)], false)).toBe("urgent");
  expect(toneFor(before, [alarm("b", "urgent", 2, "wang")], false)).toBeUndefined();
  expect(toneFor(new Map(), [alarm("b", "medium", 2)], false)).toBeUndefined();
  expect(toneFor(new Map(), [alarm("b", "high", 2)], true)).toBeUndefined();
  expect(toneFor(new Map(), [alarm("b", "urgent", 2)], true)).toBe("urgent");
});
