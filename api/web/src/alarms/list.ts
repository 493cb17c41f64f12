/** The alarms of the dock: which there are, in which order, and which one the key is for. Pure. */
import type { Alarm, Urgency } from "../wire";

const WEIGHT: Record<Urgency, number> = { urgent: 0, high: 1, medium: 2 };

/** What is known after a message: everything anew, or those that changed. */
export function merged(known: ReadonlyMap<string, Alarm>, told: readonly Alarm[], all: boolean): Map<string, Alarm> {
  const next = new Map(all ? [] : known);
  for (const alarm of told) next.set(alarm.id, alarm);
  return next;
}

/** Those that nobody took on: the most urgent first, among them the one that waits longest. */
export function waiting(alarms: ReadonlyMap<string, Alarm>): Alarm[] {
  const open = [...alarms.values()].filter((alarm) => alarm.acknowledged === null);
  return open.sort((a, b) => (WEIGHT[a.urgency] ?? 1) - (WEIGHT[b.urgency] ?? 1) || a.raised_us - b.raised_us);
}

/** Which alarm is shown: the chosen one while it waits, else the first. */
export const shownOf = (open: readonly Alarm[], chosen: string | undefined): Alarm | undefined =>
  open.find((alarm) => alarm.id === chosen) ?? open[0];

/** The one after the shown one, around. */
export function nextOf(open: readonly Alarm[], shown: Alarm | undefined): string | undefined {
  const at = open.findIndex((alarm) => alarm.id === shown?.id);
  return open[(at + 1) % Math.max(1, open.length)]?.id;
}

export type Tone = "urgent" | "high";

/** The tone that new alarms ask for: those that nobody took on, and that were not known before. */
export function toneFor(known: ReadonlyMap<string, Alarm>, told: readonly Alarm[], all: boolean): Tone | undefined {
  const fresh = told.filter((alarm) => alarm.acknowledged === null && !known.has(alarm.id));
  if (fresh.some((alarm) => alarm.urgency === "urgent")) return "urgent";
  // After connecting, what was there before rings only if it is urgent.
  return !all && fresh.some((alarm) => alarm.urgency === "high") ? "high" : undefined;
}
