/** `/health/ledger?d=14&by=place&q=main&p=东苑社区&k=7@2026-11-23`: days shown, rows, stream, place, the opened cell.
 * `/health/holds?c=1,2&i=…&o=…`: what a new hold or erasure begins with, from playback's marks; times are seconds UTC. */
import type { StreamKind } from "../wire";

export const DAYS = [7, 14, 30] as const;
export type Days = (typeof DAYS)[number];
export type LedgerAddress = { d?: Days; by?: "place" | "camera"; q?: StreamKind; p?: string; k?: string };

const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

export function readLedger(search: Record<string, unknown>): LedgerAddress {
  const days = DAYS.find((known) => String(known) === String(search.d));
  const [place, cell] = [text(search.p), text(search.k)];
  return {
    ...(days && { d: days }),
    ...((search.by === "place" || search.by === "camera") && { by: search.by }),
    ...((search.q === "main" || search.q === "sub") && { q: search.q }),
    ...(place && { p: place }),
    ...(cell && { k: cell }),
  };
}

export type OrderAddress = { c?: string; i?: number; o?: number };

export function readOrder(search: Record<string, unknown>): OrderAddress {
  const cameras = text(search.c);
  const seconds = (value: unknown) => (Number(value) > 0 ? Number(value) : undefined);
  const [from, to] = [seconds(search.i), seconds(search.o)];
  return { ...(cameras && { c: cameras }), ...(from && { i: from }), ...(to && { o: to }) };
}
