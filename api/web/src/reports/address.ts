/** `/reports?s=week&n=8&l=subdistrict&u=…&m=online&p=2026-11-16`: how long a period is, how many, what a row is, below which node, ranked
 * by what, and which period's table is shown. */
import type { ReportLevel, ReportMeasure, ReportStep } from "../wire";

export const STEPS = ["day", "week", "month"] as const;
export const LEVELS = ["room", "subdistrict", "district"] as const;
export const MEASURES = ["completeness", "online", "retention", "faults", "acknowledge"] as const;
/** How many periods are shown. */
export const COUNTS: Record<ReportStep, number> = { day: 14, week: 8, month: 6 };

export type ReportsAddress = { s?: ReportStep; l?: ReportLevel; u?: string; m?: ReportMeasure; p?: string };

const one = <T extends string>(known: readonly T[], value: unknown): T | undefined => known.find((word) => word === value);

export function readReports(search: Record<string, unknown>): ReportsAddress {
  const [step, level, measure] = [one(STEPS, search.s), one(LEVELS, search.l), one(MEASURES, search.m)];
  const under = typeof search.u === "string" && /^[0-9a-f-]{36}$/.test(search.u) ? search.u : undefined;
  const period = typeof search.p === "string" && /^\d{4}-\d{2}-\d{2}$/.test(search.p) ? search.p : undefined;
  return {
    ...(step && { s: step }),
    ...(level && { l: level }),
    ...(under && { u: under }),
    ...(measure && { m: measure }),
    ...(period && { p: period }),
  };
}

/** The first day of so many periods that end with the one of `today` (`2026-11-24`). */
export function firstDay(today: string, step: ReportStep): string {
  const date = new Date(`${today}T12:00:00Z`);
  const back = COUNTS[step] - 1;
  if (step === "day") date.setUTCDate(date.getUTCDate() - back);
  if (step === "week") date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7) - 7 * back);
  if (step === "month") date.setUTCMonth(date.getUTCMonth() - back, 1);
  return date.toISOString().slice(0, 10);
}
