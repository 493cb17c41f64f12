/** Draws the timeline. Takes everything it draws as arguments and keeps nothing: parsing and deciding happen elsewhere. */
import { calendarDay, clockTime, preciseTime } from "../time";
import type { CoverageRow, UtcMicros } from "../wire";
import { type HeldSpan, NOT_CONFIGURED, RECORDED } from "./coverage";
import type { Mark } from "./marks";
import { spanOf, ticks, type View, xOf } from "./scale";

export const AXIS_PX = 24;
export const ROW_PX = 24;
const BAR_PX = 14;
/** A gap is never compressed away: however short, it is at least this wide. */
const LEAST_GAP_PX = 3;
/** Half the width of an event's mark. */
const MARK_PX = 5;

export type Palette = Record<
  "text" | "dim" | "line" | "panel" | "bg" | "recording" | "fault" | "hatch" | "focus" | "font",
  string
>;

export function paletteOf(element: Element): Palette {
  const style = getComputedStyle(element);
  const read = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: read("text"),
    dim: read("dim"),
    line: read("line"),
    panel: read("panel"),
    bg: read("bg"),
    recording: read("recording"),
    fault: read("fault"),
    hatch: read("hatch"),
    focus: read("focus"),
    font: read("font"),
  };
}

/** How much moved, in equal columns of a span: percent, -1 where nobody looked. */
export type Density = { fromUs: UtcMicros; toUs: UtcMicros; moved: readonly number[] };

export type Scene = {
  view: View;
  headUs: UtcMicros;
  nowUs: UtcMicros;
  hoverUs: UtcMicros | undefined;
  inUs: UtcMicros | undefined;
  outUs: UtcMicros | undefined;
  rows: readonly (CoverageRow | undefined)[];
  /** By row. */
  density: readonly (Density | undefined)[];
  /** By row. */
  held: readonly (readonly HeldSpan[])[];
  /** By row. */
  marks: readonly (readonly Mark[])[];
};

type Surface = { context: CanvasRenderingContext2D; width: number; height: number; palette: Palette; view: View };

export function drawTimeline(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  palette: Palette,
  scene: Scene,
): void {
  const surface: Surface = { context, width, height, palette, view: scene.view };
  context.fillStyle = palette.panel;
  context.fillRect(0, 0, width, height);
  for (const [index, row] of scene.rows.entries()) drawRow(surface, row, AXIS_PX + index * ROW_PX);
  for (const [index, density] of scene.density.entries()) {
    if (density) drawDensity(surface, density, AXIS_PX + index * ROW_PX);
  }
  for (const [index, held] of scene.held.entries()) drawHeld(surface, held, AXIS_PX + index * ROW_PX);
  for (const [index, marks] of scene.marks.entries()) drawEvents(surface, marks, AXIS_PX + index * ROW_PX);
  drawFuture(surface, scene.nowUs);
  drawAxis(surface);
  drawMarks(surface, scene.inUs, scene.outUs);
  if (scene.hoverUs !== undefined) drawLine(surface, scene.hoverUs, palette.dim, 1);
  drawHead(surface, scene.headUs);
}

function drawRow({ context, width, palette, view }: Surface, row: CoverageRow | undefined, top: number): void {
  const y = top + (ROW_PX - BAR_PX) / 2;
  context.fillStyle = palette.bg;
  context.fillRect(0, y, width, BAR_PX);
  if (!row) return;
  const edges = (from: number, to: number): [number, number] => [
    Math.max(0, xOf(view, from, width)),
    Math.min(width, xOf(view, to, width)),
  ];
  context.fillStyle = palette.recording;
  for (const [from, to, code] of row.intervals) {
    if (code !== RECORDED) continue;
    const [left, right] = edges(from, to);
    if (right > left) context.fillRect(left, y, right - left, BAR_PX);
  }
  for (const [from, to, code, share] of row.intervals) {
    if (code === RECORDED) continue;
    const [left, right] = edges(from, to);
    // Where both lie under one pixel, the hatching stands on the solid bar.
    const ground = share > 0 ? palette.recording : palette.bg;
    const colours =
      code === NOT_CONFIGURED ? { hatch: palette.line, edge: palette.line } : { hatch: palette.hatch, edge: palette.fault };
    if (right > left) drawGap(context, { ground, ...colours }, left, y, Math.max(LEAST_GAP_PX, right - left));
  }
}

type GapColours = { ground: string; hatch: string; edge: string };

function drawGap(
  context: CanvasRenderingContext2D,
  { ground, hatch, edge }: GapColours,
  x: number,
  y: number,
  width: number,
): void {
  context.save();
  context.beginPath();
  context.rect(x, y, width, BAR_PX);
  context.clip();
  context.fillStyle = ground;
  context.fillRect(x, y, width, BAR_PX);
  context.strokeStyle = hatch;
  context.lineWidth = 2;
  context.beginPath();
  // Hatch lines keep their place while the view moves less than one of them, and never cost more than the screen is wide.
  for (let at = x - BAR_PX - (x % 6); at < x + width; at += 6) {
    context.moveTo(at, y + BAR_PX);
    context.lineTo(at + BAR_PX, y);
  }
  context.stroke();
  context.strokeStyle = edge;
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, Math.max(0, width - 1), BAR_PX - 1);
  context.restore();
}

/** Movement is height on the bar, a pixel at least where there was any. A square root, so that little is not nothing. */
function drawDensity({ context, width, palette, view }: Surface, { fromUs, toUs, moved }: Density, top: number): void {
  const y = top + (ROW_PX + BAR_PX) / 2;
  const each = (toUs - fromUs) / Math.max(1, moved.length);
  context.fillStyle = palette.text;
  context.globalAlpha = 0.75;
  for (const [index, percent] of moved.entries()) {
    if (percent <= 0) continue;
    const left = xOf(view, fromUs + index * each, width);
    const right = xOf(view, fromUs + (index + 1) * each, width);
    if (right < 0 || left > width) continue;
    const height = Math.max(1, Math.sqrt(percent / 100) * (BAR_PX - 2));
    context.fillRect(left, y - height, Math.max(1, right - left), height);
  }
  context.globalAlpha = 1;
}

/** A hold is a line over the bar, closed at its ends; dashed while it waits for approval. */
function drawHeld({ context, width, palette, view }: Surface, held: readonly HeldSpan[], top: number): void {
  context.strokeStyle = palette.text;
  context.lineWidth = 2;
  for (const { fromUs, toUs, waiting } of held) {
    const [left, right] = [xOf(view, fromUs, width), Math.max(xOf(view, toUs, width), xOf(view, fromUs, width) + 2)];
    if (right < 0 || left > width) continue;
    context.setLineDash(waiting ? [6, 4] : []);
    context.beginPath();
    context.moveTo(left, top + 8);
    context.lineTo(left, top + 2);
    context.lineTo(right, top + 2);
    context.lineTo(right, top + 8);
    context.stroke();
  }
  context.setLineDash([]);
  context.lineWidth = 1;
}

/** What happened stands on the bar: a triangle where it wants attention, a dot otherwise. The shape says it, not the colour alone. */
function drawEvents({ context, width, palette, view }: Surface, marks: readonly Mark[], top: number): void {
  const y = top + ROW_PX / 2;
  context.lineWidth = 1;
  context.strokeStyle = palette.panel;
  for (const { us, heavy } of marks) {
    const x = Math.round(xOf(view, us, width));
    if (x < -MARK_PX || x > width + MARK_PX) continue;
    context.fillStyle = heavy ? palette.fault : palette.text;
    context.beginPath();
    if (heavy) {
      context.moveTo(x, y - MARK_PX);
      context.lineTo(x + MARK_PX, y + MARK_PX - 1);
      context.lineTo(x - MARK_PX, y + MARK_PX - 1);
      context.closePath();
    } else context.arc(x, y, MARK_PX - 2, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

function drawFuture({ context, width, height, palette, view }: Surface, nowUs: UtcMicros): void {
  const x = Math.max(0, xOf(view, nowUs, width));
  if (x >= width) return;
  context.fillStyle = palette.panel;
  context.fillRect(x, AXIS_PX, width - x, height - AXIS_PX);
  context.fillStyle = palette.line;
  context.fillRect(x, AXIS_PX, 1, height - AXIS_PX);
}

function drawAxis({ context, width, height, palette, view }: Surface): void {
  const offsetUs = -new Date(view.fromUs / 1000).getTimezoneOffset() * 60e6;
  const { stepUs, at } = ticks(view, width, 96, offsetUs);
  context.font = `12px ${palette.font}`;
  context.textBaseline = "middle";
  context.textAlign = "center";
  let lastDay = "";
  for (const us of at) {
    const x = Math.round(xOf(view, us, width)) + 0.5;
    context.strokeStyle = palette.line;
    context.globalAlpha = 0.7;
    context.beginPath();
    context.moveTo(x, AXIS_PX - 4);
    context.lineTo(x, height);
    context.stroke();
    context.globalAlpha = 1;
    const day = calendarDay(us);
    const label = tickLabel(us, stepUs, lastDay !== "" && day !== lastDay);
    lastDay = day;
    context.fillStyle = palette.dim;
    if (x > 24 && x < width - 24) context.fillText(label, x, AXIS_PX / 2);
  }
  if (spanOf(view) < 86_400e6 && lastDay === "") context.fillText(calendarDay(view.fromUs), width / 2, AXIS_PX / 2);
}

/** Days as `11-22`, below a second with its fraction, otherwise the time; the first tick of a new day says the day. */
function tickLabel(us: UtcMicros, stepUs: number, newDay: boolean): string {
  if (stepUs >= 86_400e6 || newDay) return calendarDay(us).slice(5);
  if (stepUs < 1e6) return preciseTime(us).slice(17, 21);
  return stepUs < 60e6 ? clockTime(us) : clockTime(us).slice(0, 5);
}

function drawMarks(
  { context, width, height, palette, view }: Surface,
  inUs: UtcMicros | undefined,
  outUs: UtcMicros | undefined,
): void {
  const left = inUs === undefined ? undefined : xOf(view, inUs, width);
  const right = outUs === undefined ? undefined : xOf(view, outUs, width);
  if (left !== undefined && right !== undefined && right > left) {
    context.fillStyle = palette.focus;
    context.globalAlpha = 0.16;
    context.fillRect(left, AXIS_PX, right - left, height - AXIS_PX);
    context.globalAlpha = 1;
  }
  context.strokeStyle = palette.focus;
  context.lineWidth = 2;
  for (const [x, side] of [
    [left, 1],
    [right, -1],
  ] as const) {
    if (x === undefined) continue;
    context.beginPath();
    context.moveTo(x + 6 * side, AXIS_PX + 1);
    context.lineTo(x, AXIS_PX + 1);
    context.lineTo(x, height - 1);
    context.lineTo(x + 6 * side, height - 1);
    context.stroke();
  }
  context.lineWidth = 1;
}

function drawLine({ context, width, height, view }: Surface, us: UtcMicros, colour: string, line: number): void {
  const x = Math.round(xOf(view, us, width));
  context.fillStyle = colour;
  context.fillRect(x - line / 2, AXIS_PX - 6, line, height - AXIS_PX + 6);
}

function drawHead(surface: Surface, us: UtcMicros): void {
  const { context, width, palette, view } = surface;
  drawLine(surface, us, palette.text, 2);
  const x = xOf(view, us, width);
  context.fillStyle = palette.text;
  context.beginPath();
  context.moveTo(x - 6, AXIS_PX - 9);
  context.lineTo(x + 6, AXIS_PX - 9);
  context.lineTo(x, AXIS_PX - 1);
  context.fill();
}
