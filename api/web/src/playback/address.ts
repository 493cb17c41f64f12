/** `/playback?c=1,2&t=1795399200.5&z=3600&i=…&o=…&q=sub`: cameras, play head, visible span in seconds, marks, stream, and `r` the cells of a region
 * that is searched. Times are
 * seconds UTC: short, and precise enough for a frame. */
import type { StreamKind } from "../wire";
import { cellsOf, cellsText } from "./region";

export const MOST_CAMERAS = 4;
export type PlaybackAddress = { c?: string; t?: number; z?: number; i?: number; o?: number; q?: StreamKind; r?: string };

const seconds = (value: unknown): number | undefined => {
  const number = Number(value);
  return value !== undefined && value !== "" && Number.isFinite(number) && number > 0 ? number : undefined;
};

export function readPlayback(search: Record<string, unknown>): PlaybackAddress {
  const cameras = camerasOf(String(search.c ?? "")).join(",");
  const address: PlaybackAddress = {};
  if (cameras) address.c = cameras;
  for (const name of ["t", "z", "i", "o"] as const) {
    const value = seconds(search[name]);
    if (value !== undefined) address[name] = value;
  }
  if (search.q === "main" || search.q === "sub") address.q = search.q;
  // Present and empty: the search is open and nothing is drawn yet.
  if (typeof search.r === "string" || typeof search.r === "number") address.r = cellsText(cellsOf(String(search.r)));
  return address;
}

/** Camera numbers, each once, at most four. */
export const camerasOf = (text: string | undefined): number[] => camerasIn(text).slice(0, MOST_CAMERAS);

/** Every camera number of a list, each once. */
export function camerasIn(text: string | undefined): number[] {
  const numbers = (text ?? "").split(/[,，、\s]+/).map(Number);
  return [...new Set(numbers.filter((number) => Number.isSafeInteger(number) && number > 0))];
}
