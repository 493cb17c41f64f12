/** `/events?q=南门&r=24h&k=motion,line.crossed&v=warning&c=1,2&p=东苑社区&h=22-6`, or `f=…&t=…` (seconds UTC) instead of `r`; `w=table` for
 * the list without pictures, `e=…` for the event that the player shows. Everything that was asked stands in the address, so that a link
 * asks it again. */
import { camerasIn } from "../playback/address";
import type { EventSeverity, EventsWish } from "../wire";

export const RANGES = { "1h": 3600, "24h": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400 } as const;
export type Range = keyof typeof RANGES;
export const SEVERITIES = ["info", "notice", "warning", "alarm"] as const satisfies readonly EventSeverity[];

export type EventsAddress = {
  q?: string;
  r?: Range;
  f?: number;
  t?: number;
  k?: string;
  v?: EventSeverity;
  c?: string;
  p?: string;
  h?: string;
  w?: "table";
  e?: string;
};

const text = (value: unknown): string | undefined => (typeof value === "string" && value.trim() !== "" ? value : undefined);
const seconds = (value: unknown): number | undefined => (Number(value) > 0 ? Number(value) : undefined);

export function readEvents(search: Record<string, unknown>): EventsAddress {
  const address: EventsAddress = {};
  const range = (Object.keys(RANGES) as Range[]).find((known) => known === search.r);
  const [from, to] = [seconds(search.f), seconds(search.t)];
  if (from !== undefined && to !== undefined && to > from) Object.assign(address, { f: from, t: to });
  else if (range) address.r = range;
  const severity = SEVERITIES.find((known) => known === search.v);
  if (severity && severity !== "info") address.v = severity;
  const cameras = camerasIn(text(search.c)).join(",");
  if (cameras) address.c = cameras;
  if (/^\d{1,2}-\d{1,2}$/.test(String(search.h ?? ""))) address.h = String(search.h);
  if (search.w === "table") address.w = "table";
  for (const name of ["q", "k", "p", "e"] as const) {
    const value = text(search[name]);
    if (value !== undefined) address[name] = value;
  }
  return address;
}

export const kindsOf = (address: EventsAddress): string[] => address.k?.split(",").filter((kind) => kind !== "") ?? [];

/** Adds a kind to the filter, or takes it out. */
export function toggled(address: EventsAddress, kind: string): string | undefined {
  const kinds = kindsOf(address);
  const next = kinds.includes(kind) ? kinds.filter((one) => one !== kind) : [...kinds, kind];
  return next.join(",") || undefined;
}

/** Bars in the histogram: enough to see a shape, few enough to hit one. */
const BARS = 48;
const STEPS_S = [60, 300, 600, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400];

/** What is asked of the node. A range that ends now has no end: new events belong to it. */
export function wishOf(address: EventsAddress, nowUs: number): EventsWish & { from_us: number; histogram_s: number } {
  const spanS = address.f !== undefined && address.t !== undefined ? address.t - address.f : RANGES[address.r ?? "24h"];
  const stepS = STEPS_S.find((step) => spanS / step <= BARS) ?? 86_400;
  // A relative beginning is rounded, so that the same question a second later is the same question.
  const from_us = address.f !== undefined ? address.f * 1e6 : Math.floor(nowUs / 1e6 / 60 - spanS / 60) * 60e6;
  return {
    from_us,
    histogram_s: stepS,
    ...(address.t !== undefined && { to_us: address.t * 1e6 }),
    ...(address.q && { text: address.q.trim() }),
    ...(address.k && { kinds: address.k }),
    ...(address.v && { severity: address.v }),
    ...(address.c && { cameras: address.c }),
    ...(address.p && { place: address.p }),
    ...(address.h && { hours: address.h }),
  };
}

/** The filters that may be taken away, for an answer that is empty. */
export const FILTERS = ["q", "k", "v", "c", "p", "h"] as const;
export type Filter = (typeof FILTERS)[number];
export const setFilters = (address: EventsAddress): Filter[] => FILTERS.filter((name) => address[name] !== undefined);
