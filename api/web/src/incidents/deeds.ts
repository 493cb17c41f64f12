/** What can be done with an incident as it is, and how its clock stands. Pure; the node decides, this only spares it useless questions. */
import { span } from "../time";
import type { Incident, IncidentPriority, Tier, UtcMicros } from "../wire";

export const CODES = ["handled", "advised", "police", "department", "nothing"] as const;
export const REASONS = ["weather", "animal", "allowed", "misjudged", "test"] as const;
export const MINUTES = [15, 30, 60, 240] as const;
/** The node takes it back for seven seconds; five are promised. */
export const UNDO_S = 5;
/** More new ones in ten minutes are a flood (ISA-18.2), which is over below five. */
export const FLOOD = { begins: 10, ends: 5 };

const TIERS: readonly Tier[] = ["room", "subdistrict", "district"];
const RANKS = { new: 0, acknowledged: 1, reopened: 1, verified: 2, dispatched: 3, arrived: 4, resolved: 5 };

export type Act =
  | "acknowledge"
  | "verify"
  | "dismiss"
  | "dispatch"
  | "arrive"
  | "resolve"
  | "close"
  | "escalate"
  | "shelve"
  | "unshelve"
  | "reopen"
  | "note"
  | "attach";

export const isOver = ({ stage }: Incident) => stage === "closed" || stage === "false" || stage === "merged";

/** The acts that make sense now at a tier, in the order of the work; the tier above having it leaves notes and evidence. */
export function actsOf(incident: Incident, tier: Tier, upper: Tier | null): Act[] {
  const adds: Act[] = incident.camera === null ? ["note"] : ["note", "attach"];
  const above = TIERS.indexOf(tier) < TIERS.indexOf(incident.tier);
  if (above) return adds;
  if (isOver(incident)) return ["reopen", ...adds];
  const rank = RANKS[incident.stage as keyof typeof RANKS] ?? 0;
  const takesOver = TIERS.indexOf(tier) > TIERS.indexOf(incident.tier);
  const acts: Act[] = [];
  if (rank === 0 || incident.owner === null || takesOver) acts.push("acknowledge");
  if (rank < 2) acts.push("verify", "dismiss");
  else acts.push("dismiss");
  if (rank < 4) acts.push("dispatch");
  if (rank === 3) acts.push("arrive");
  if (rank >= 1 && rank < 5) acts.push("resolve");
  if (rank >= 1) acts.push("close");
  if (upper !== null && tier === incident.tier) acts.push("escalate");
  acts.push(incident.shelved_until_us === null ? "shelve" : "unshelve");
  return [...acts, ...adds];
}

/** The next step of the work, if it is one of those possible. */
export const nextOf = (acts: readonly Act[]): Act | undefined =>
  (["acknowledge", "verify", "arrive", "dispatch", "resolve", "close", "reopen"] as const).find((act) => acts.includes(act));

export const GLYPHS: Record<IncidentPriority, string> = { p1: "▲", p2: "◆", p3: "●" };

export type Clock = { text: string; late: boolean; share: number } | undefined;

/** What is left of its clock, as `01:47`; late ones count up. `share` is how much of its time is gone. */
export function clockOf(incident: Incident, nowUs: UtcMicros): Clock {
  if (incident.due_us === null) return undefined;
  const left = incident.due_us - nowUs;
  const whole = incident.due_us - incident.since_us;
  const seconds = Math.floor(Math.abs(left) / 1e6);
  const text =
    seconds < 3600
      ? `${String(Math.floor(seconds / 60)).padStart(2, "0")}:${String(seconds % 60).padStart(2, "0")}`
      : span(seconds * 1000);
  return {
    text: left < 0 ? `-${text}` : text,
    late: left < 0,
    share: whole > 0 ? Math.min(1, Math.max(0, 1 - left / whole)) : 1,
  };
}

/** Whether there is a flood now, given whether there was one: it ends later than it begins. */
export const isFlood = (recent: number, was: boolean) => recent > (was ? FLOOD.ends - 1 : FLOOD.begins);

/** The next in a list, by a step; the first or last if none is chosen. */
export function neighbour(list: readonly Incident[], id: string | undefined, step: 1 | -1): Incident | undefined {
  const at = list.findIndex((incident) => incident.id === id);
  if (at < 0) return step > 0 ? list[0] : list.at(-1);
  return list[Math.min(list.length - 1, Math.max(0, at + step))];
}
