/** A rule as it stands in the form, and as the node wants it; and what its rate says. Pure. */
import type { Rule, RuleRate, RuleWish, Urgency } from "../wire";
import { placeOf } from "./draft";

/** Text as typed. */
export type RuleDraft = {
  name: string;
  enabled: boolean;
  kinds: string[];
  under: string;
  cameras: string;
  text: string;
  fromHour: string;
  toHour: string;
  days: boolean[];
  urgency: Urgency;
  opensIncident: boolean;
  group: string;
  holdOff: string;
};

/** What a new rule begins as: everything but its name and its kinds is a fair guess. */
export const draftOfRule = (rule: Rule | undefined): RuleDraft => ({
  name: rule?.name ?? "",
  enabled: rule?.enabled ?? true,
  kinds: rule?.kinds ?? [],
  under: rule?.under.join("/") ?? "",
  cameras: rule?.cameras.join(",") ?? "",
  text: rule?.text ?? "",
  fromHour: String(rule?.schedule.from_hour ?? 0),
  toHour: String(rule?.schedule.to_hour ?? 23),
  days: rule?.schedule.days ?? Array(7).fill(true),
  urgency: rule?.urgency ?? "high",
  opensIncident: rule?.opens_incident ?? false,
  group: String(rule?.group_s ?? 60),
  holdOff: String(rule?.hold_off_s ?? 300),
});

const whole = (text: string) => (/^\d{1,6}$/.test(text.trim()) ? Number(text.trim()) : undefined);

/** The rule, or the first field that is not as the node could take it. */
export function wishOfRule(draft: RuleDraft, before: Rule | undefined): RuleWish | { wrong: keyof RuleDraft } {
  const cameras = draft.cameras.split(/[,，\s]+/).filter((part) => part !== "");
  const [fromHour, toHour, group, holdOff] = [draft.fromHour, draft.toHour, draft.group, draft.holdOff].map(whole);
  if (draft.name.trim() === "") return { wrong: "name" };
  if (draft.kinds.length === 0) return { wrong: "kinds" };
  if (!cameras.every((camera) => /^[1-9]\d*$/.test(camera))) return { wrong: "cameras" };
  if (fromHour === undefined || fromHour > 23) return { wrong: "fromHour" };
  if (toHour === undefined || toHour > 23) return { wrong: "toHour" };
  if (!draft.days.includes(true)) return { wrong: "days" };
  if (group === undefined || group > 86_400) return { wrong: "group" };
  if (holdOff === undefined || holdOff > 86_400) return { wrong: "holdOff" };
  return {
    name: draft.name.trim(),
    enabled: draft.enabled,
    kinds: draft.kinds,
    severity: before?.severity ?? "info",
    under: placeOf(draft.under),
    cameras: cameras.map(Number),
    text: draft.text.trim(),
    schedule: { from_hour: fromHour, to_hour: toHour, days: draft.days },
    urgency: draft.urgency,
    opens_incident: draft.opensIncident,
    group_s: group,
    hold_off_s: holdOff,
  };
}

/** Sums of a rate, and whether one operator could look into so many. */
export function judged(rate: RuleRate): { events: number; alarms: number; perDay: number | null; over: boolean } {
  const sum = (of: "events" | "alarms") => rate.days.reduce((total, day) => total + day[of], 0);
  const perDay = rate.alarms_per_day;
  return { events: sum("events"), alarms: sum("alarms"), perDay, over: perDay !== null && perDay > rate.budget_per_day };
}
