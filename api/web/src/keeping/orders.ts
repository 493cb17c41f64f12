/** What a person may do with a hold or an erasure now, and what a form of one says. Pure. */
import { camerasIn } from "../playback/address";
import type { Erasure, Hold, May, OrderWish, UtcMicros } from "../wire";

export type HoldMove = "approve" | "decline" | "release";

/** Nobody approves what they asked for: the node refuses it, so the page does not offer it. */
export function holdMoves(hold: Hold, may: May, person: string): HoldMove[] {
  const moves: HoldMove[] = [];
  if (hold.state === "requested" && may.approve && hold.requested_by !== person) moves.push("approve", "decline");
  if (hold.state === "active" && (may.request || may.approve) && hold.release_requested_by !== person) moves.push("release");
  return moves;
}

export function erasureMoves(erasure: Erasure, may: May, person: string): ("approve" | "decline")[] {
  return erasure.state === "requested" && may.approve && erasure.requested_by !== person ? ["approve", "decline"] : [];
}

/** `datetime-local` text of an instant, in this machine's zone, to the second. */
export function localText(us: UtcMicros): string {
  const date = new Date(us / 1000);
  return new Date(date.getTime() - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

export function usOf(text: string): UtcMicros | undefined {
  const ms = new Date(text).getTime();
  return Number.isFinite(ms) ? ms * 1000 : undefined;
}

export type OrderDraft = { cameras: string; from: string; to: string; reason: string; authority: string; expires: string };

/** The wish, or the field that is not yet right. */
export function orderOf(draft: OrderDraft, expires: boolean): { wish: OrderWish } | { wrong: keyof OrderDraft } {
  const cameras = camerasIn(draft.cameras);
  const [from_us, to_us, expires_us] = [usOf(draft.from), usOf(draft.to), usOf(draft.expires)];
  if (cameras.length === 0) return { wrong: "cameras" };
  if (from_us === undefined) return { wrong: "from" };
  if (to_us === undefined || to_us <= from_us) return { wrong: "to" };
  if (draft.reason.trim() === "") return { wrong: "reason" };
  if (draft.authority.trim() === "") return { wrong: "authority" };
  if (expires && expires_us === undefined) return { wrong: "expires" };
  const wish: OrderWish = { cameras, from_us, to_us, reason: draft.reason.trim(), authority: draft.authority.trim() };
  if (expires && expires_us !== undefined) wish.expires_us = expires_us;
  return { wish };
}
