import { expect, test } from "vitest";
import type { Hold } from "../wire";
import { holdMoves, localText, orderOf, usOf } from "./orders";

const hold = (more: Partial<Hold>): Hold => ({
  id: 1,
  cameras: [7],
  from_us: 0,
  to_us: 1,
  reason: "核查",
  authority: "沪公-7",
  requested_by: "wang",
  requested_us: 0,
  approved_by: null,
  approved_us: null,
  state: "requested",
  release_requested_by: null,
  ended_by: null,
  ended_us: null,
  expires_us: 2,
  bytes: 0,
  ...more,
});
const all = { request: true, approve: true };

test("nobody is offered to approve what they asked for, nor to release twice", () => {
  expect(holdMoves(hold({}), all, "wang")).toEqual([]);
  expect(holdMoves(hold({}), all, "li")).toEqual(["approve", "decline"]);
  expect(holdMoves(hold({}), { request: true, approve: false }, "li")).toEqual([]);
  expect(holdMoves(hold({ state: "active", release_requested_by: "li" }), all, "li")).toEqual([]);
  expect(holdMoves(hold({ state: "active", release_requested_by: "li" }), all, "wang")).toEqual(["release"]);
  expect(holdMoves(hold({ state: "released" }), all, "li")).toEqual([]);
});

test("an order names the first field that is not right, and a whole one keeps its seconds", () => {
  const draft = {
    cameras: "7, 8",
    from: "2026-11-23T10:00:00",
    to: "2026-11-23T09:00:00",
    reason: "核查",
    authority: "7号",
    expires: "",
  };
  expect(orderOf(draft, false)).toEqual({ wrong: "to" });
  expect(orderOf({ ...draft, cameras: "x" }, false)).toEqual({ wrong: "cameras" });
  const later = { ...draft, to: "2026-11-23T10:00:01" };
  expect(orderOf(later, true)).toEqual({ wrong: "expires" });
  const order = orderOf(later, false);
  expect("wish" in order && order.wish.to_us - order.wish.from_us).toBe(1e6);
  expect("wish" in order && order.wish.cameras).toEqual([7, 8]);
});

test("a local time survives the form", () => {
  const us = 1_795_399_201e6;
  expect(usOf(localText(us))).toBe(us);
});
