/** Purposes as the register knows them, and the words a shift usually declares. */
import type { Key } from "../i18n";
import type { Purpose, PurposeCategory } from "../wire";

export const CATEGORIES: readonly PurposeCategory[] = ["duty", "incident", "request", "maintenance", "training"];

export const categoryKey = (category: PurposeCategory): Key => `purpose_${category}`;

/** Night 0–8, morning 8–16, evening 16–24: only a proposal in the field, the person edits it. */
export function shiftKey(hour: number): Key {
  if (hour < 8) return "shift_night";
  return hour < 16 ? "shift_morning" : "shift_evening";
}

/** The purpose given with the sign-in that is still under way: a one-time password's change ends its login's own. */
let atSignIn: Purpose | undefined;
export const rememberPurpose = (purpose: Purpose | undefined): void => {
  atSignIn = purpose;
};
export const purposeAtSignIn = (): Purpose | undefined => atSignIn;
