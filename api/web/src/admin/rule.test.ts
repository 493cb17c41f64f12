import { expect, test } from "vitest";
import { draftOfRule, judged, type RuleDraft, wishOfRule } from "./rule";

const draft = (change: Partial<RuleDraft>): RuleDraft => ({
  ...draftOfRule(undefined),
  name: "越线",
  kinds: ["line.crossed"],
  ...change,
});

test("what is typed becomes a rule, and the rule becomes the same form again", () => {
  const wish = wishOfRule(draft({ under: "东苑社区／南门", cameras: "7，12", fromHour: "22", toHour: "6" }), undefined);
  expect(wish).toMatchObject({ under: ["东苑社区", "南门"], cameras: [7, 12], group_s: 60, hold_off_s: 300 });
  if ("wrong" in wish) throw new Error(wish.wrong);
  expect(wishOfRule(draftOfRule({ id: 3, ...wish }), undefined)).toEqual(wish);
});

test("what the node could only refuse is named", () => {
  const cases: [Partial<RuleDraft>, keyof RuleDraft][] = [
    [{ name: " " }, "name"],
    [{ kinds: [] }, "kinds"],
    [{ cameras: "7,x" }, "cameras"],
    [{ fromHour: "24" }, "fromHour"],
    [{ toHour: "" }, "toHour"],
    [{ days: Array(7).fill(false) }, "days"],
    [{ group: "-1" }, "group"],
    [{ holdOff: "90000" }, "holdOff"],
  ];
  for (const [change, wrong] of cases) expect(wishOfRule(draft(change), undefined)).toEqual({ wrong });
});

test("a rate above what one operator can look into is over the budget", () => {
  const day = { from_us: 0, events: 90, alarms: 30 };
  const rate = { days: [day, day], counted_from_us: 0, alarms_per_day: 30, budget_per_day: 20 };
  expect(judged(rate)).toEqual({ events: 180, alarms: 60, perDay: 30, over: true });
  expect(judged({ ...rate, alarms_per_day: null }).over).toBe(false);
});
