/** The visible span of time and its pixels. Pure: zoom, pan, ticks. */
import type { UtcMicros } from "../wire";

export type View = { fromUs: UtcMicros; toUs: UtcMicros };

export const SHORTEST_US = 1e6;
export const LONGEST_US = 30 * 86_400e6;

const clampSpan = (span: number) => Math.max(SHORTEST_US, Math.min(LONGEST_US, span));

export const spanOf = (view: View) => view.toUs - view.fromUs;

export function centred(us: UtcMicros, spanUs: number): View {
  const span = clampSpan(spanUs);
  return { fromUs: us - span / 2, toUs: us + span / 2 };
}

export const xOf = (view: View, us: UtcMicros, width: number) => ((us - view.fromUs) / spanOf(view)) * width;
export const usAt = (view: View, x: number, width: number): UtcMicros => view.fromUs + (x / width) * spanOf(view);

/** Zooms so that the instant under `x` stays under it. `factor` < 1 shows less time. */
export function zoomed(view: View, factor: number, aroundUs: UtcMicros): View {
  const span = clampSpan(spanOf(view) * factor);
  const share = (aroundUs - view.fromUs) / spanOf(view);
  const fromUs = aroundUs - share * span;
  return { fromUs, toUs: fromUs + span };
}

export function panned(view: View, byUs: number): View {
  return { fromUs: view.fromUs + byUs, toUs: view.toUs + byUs };
}

/** Keeps the play head in sight: a view that it left is moved on so that it stands at a fifth. */
export function following(view: View, headUs: UtcMicros): View {
  const span = spanOf(view);
  if (headUs >= view.fromUs && headUs <= view.fromUs + span * 0.92) return view;
  const fromUs = headUs - span * 0.2;
  return { fromUs, toUs: fromUs + span };
}

const SECOND = 1e6;
const STEPS_US = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000,
].map((seconds) => seconds * SECOND);

/** Tick instants at a round step at least `apartPx` pixels apart; days start at local midnight (`offsetUs` east of UTC). */
export function ticks(view: View, width: number, apartPx: number, offsetUs: number): { stepUs: number; at: UtcMicros[] } {
  const perPx = spanOf(view) / Math.max(1, width);
  const stepUs = STEPS_US.find((step) => step / perPx >= apartPx) ?? 864_000 * SECOND;
  const at: UtcMicros[] = [];
  const first = Math.ceil((view.fromUs + offsetUs) / stepUs) * stepUs - offsetUs;
  for (let us = first; us <= view.toUs && at.length < 200; us += stepUs) at.push(us);
  return { stepUs, at };
}
