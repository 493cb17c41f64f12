/** Which eight pictures tell an event: from six seconds before it to eight after. Pure. */
import type { UtcMicros } from "../wire";

export const PICTURES = 8;
const FIRST_US = -6e6;
/** As far apart as key units usually are. */
const STEP_US = 2e6;

/** The picture at a place over the still, 0 (left) to 1. */
export const pictureAt = (share: number) => Math.min(PICTURES - 1, Math.max(0, Math.floor(share * PICTURES)));

export const instantOf = (eventUs: UtcMicros, picture: number): UtcMicros => eventUs + FIRST_US + picture * STEP_US;
