import { expect, test } from "vitest";
import type { Incident } from "../wire";
import { readIncidents } from "./address";
import { actsOf, clockOf, isFlood, neighbour, nextOf } from "./deeds";

const incident = (change: Partial<Incident> = {}): Incident => ({
  id: "a.1",
  number: "1124-0001",
  priority: "p1",
  stage: "new",
  detail: null,
  tier: "room",
  owner: null,
  home: "a",
  home_name: null,
  kind: null,
  kind_name: null,
  text: { zh: "", en: "" },
  camera: 7,
  name: "南门",
  place: [],
  happened_us: 0,
  opened_us: 0,
  due_us: 60e6,
  since_us: 0,
  shelved_until_us: null,
  escalations: 0,
  clashes: 0,
  ended_us: null,
  version: 0,
  ...change,
});
const owner = { name: "wang", display: "王", here: true };

test("what is offered is what the incident's state allows", () => {
  const acts = (change: Partial<Incident>, upper: "subdistrict" | null = "subdistrict") =>
    actsOf(incident(change), "room", upper).join(" ");
  expect(acts({})).toBe("acknowledge verify dismiss dispatch escalate shelve note attach");
  expect(acts({ stage: "acknowledged", owner })).toBe("verify dismiss dispatch resolve close escalate shelve note attach");
  expect(acts({ stage: "dispatched", owner }, null)).toBe("dismiss dispatch arrive resolve close shelve note attach");
  expect(acts({ stage: "closed", owner })).toBe("reopen note attach");
  expect(acts({ tier: "subdistrict" })).toBe("note attach");
  expect(acts({ shelved_until_us: 5, stage: "verified", owner })).toContain("unshelve");
  expect(actsOf(incident({ stage: "acknowledged", owner }), "district", null)).toContain("acknowledge");
});

test("the next step stands out: send somebody, then wait for them, then deal with it", () => {
  const next = (stage: Incident["stage"]) => nextOf(actsOf(incident({ stage, owner }), "room", null));
  const stages = ["acknowledged", "verified", "dispatched", "arrived", "resolved", "closed"] as const;
  expect(stages.map(next)).toEqual(["verify", "dispatch", "arrive", "resolve", "close", "reopen"]);
});

test("a clock counts down, and up when it is late", () => {
  expect(clockOf(incident(), 13e6)).toEqual({ text: "00:47", late: false, share: 13 / 60 });
  expect(clockOf(incident(), 72e6)).toEqual({ text: "-00:12", late: true, share: 1 });
  expect(clockOf(incident({ due_us: null }), 0)).toBeUndefined();
});

test("a flood begins above ten and ends below five", () => {
  expect([isFlood(10, false), isFlood(11, false), isFlood(5, true), isFlood(4, true)]).toEqual([false, true, true, false]);
});

test("keys walk the queue and stay in it", () => {
  const list = ["a", "b", "c"].map((id) => incident({ id }));
  const next = (id: string | undefined, step: 1 | -1) => neighbour(list, id, step)?.id;
  expect([next(undefined, 1), next("a", 1), next("c", 1), next("a", -1), next("gone", -1)]).toEqual(["a", "b", "c", "a", "c"]);
  expect(neighbour([], "a", 1)).toBeUndefined();
});

test("an address that is none of ours is read as nothing", () => {
  expect(readIncidents({ q: "all", i: "a b", n: 2, t: "x" })).toEqual({});
  expect(readIncidents({ q: "mine", n: "1", c: "7", t: "1795" })).toEqual({ q: "mine", n: "1", c: "7", t: 1795 });
});
