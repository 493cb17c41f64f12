/** The timeline: a canvas that is a slider. Wheel zooms, the axis pans, the rows scrub; keys do all of it too. */
import { Link } from "@tanstack/react-router";
import { type KeyboardEvent, type PointerEvent, type RefObject, useEffect, useRef, useState } from "react";
import { nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { useSettings } from "../settings";
import { clockTime, moment, preciseTime, span } from "../time";
import { Button } from "../ui/controls";
import type { Coverage, UtcMicros } from "../wire";
import type { Playable } from "./choice";
import { type HeldSpan, stateAt } from "./coverage";
import { AXIS_PX, type Density, drawTimeline, type Palette, paletteOf, ROW_PX } from "./draw";
import type { Engine } from "./engine";
import { type Mark, NAMED, near } from "./marks";
import styles from "./Playback.module.css";
import { following, panned, spanOf, usAt, type View, xOf, zoomed } from "./scale";

export type TimelineProps = {
  engine: Engine;
  cameras: readonly Playable[];
  coverage: Coverage | undefined;
  held: readonly HeldSpan[];
  density: ReadonlyMap<number, Density>;
  /** The newest events of each camera; `more`: there are older ones that are not marked. */
  marks: { rows: ReadonlyMap<number, readonly Mark[]>; more: boolean };
  view: RefObject<View>;
  inUs: UtcMicros | undefined;
  outUs: UtcMicros | undefined;
  onView(view: View): void;
  onSettled(): void;
  onZoom(factor: number): void;
  onSpan(spanUs: number): void;
};

const SPANS = [
  { label: "1 min", us: 60e6 },
  { label: "10 min", us: 600e6 },
  { label: "1 h", us: 3600e6 },
  { label: "24 h", us: 86_400e6 },
  { label: "30 d", us: 30 * 86_400e6 },
] as const;

type Pointer = { us: UtcMicros; x: number; row: number };

const ZOOM_STEP = 1.25;

export function Timeline({
  engine,
  cameras,
  coverage,
  held,
  density,
  marks,
  view,
  inUs,
  outUs,
  onView,
  onSettled,
  onZoom,
  onSpan,
}: TimelineProps) {
  const words = useWords();
  const theme = useSettings((settings) => settings.theme);
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef({ cameras, coverage, held, density, marks, inUs, outUs });
  latest.current = { cameras, coverage, held, density, marks, inUs, outUs };
  const hover = useRef<Pointer | undefined>(undefined);
  const setTip = useRef<(pointer: Pointer | undefined) => void>(undefined);
  const drag = useRef<{ pan: boolean; lastX: number } | undefined>(undefined);
  const us = engine.use((state) => state.us);
  const height = AXIS_PX + ROW_PX * Math.max(1, cameras.length) + 6;

  const setView = (next: View) => {
    view.current = next;
    onView(next);
  };

  useDrawing({ canvas, engine, view, latest, hover, theme, height, onView });

  const at = (event: { clientX: number; clientY: number }) => {
    const box = canvas.current?.getBoundingClientRect();
    const x = event.clientX - (box?.left ?? 0);
    const y = event.clientY - (box?.top ?? 0);
    const width = box?.width ?? 1;
    return { x, us: usAt(view.current, x, width), width, row: Math.floor((y - AXIS_PX) / ROW_PX), onAxis: y < AXIS_PX };
  };

  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    const place = at(event);
    event.currentTarget.setPointerCapture(event.pointerId);
    drag.current = { pan: place.onAxis, lastX: place.x };
    if (!place.onAxis) engine.scrub(place.us, event.timeStamp);
  };
  const move = (event: PointerEvent) => {
    const place = at(event);
    hover.current = { us: place.us, x: place.x, row: place.row };
    setTip.current?.(hover.current);
    if (!drag.current) return;
    if (drag.current.pan) {
      setView(panned(view.current, ((drag.current.lastX - place.x) / place.width) * spanOf(view.current)));
      drag.current.lastX = place.x;
    } else engine.scrub(place.us, event.timeStamp);
  };
  const up = () => {
    if (drag.current && !drag.current.pan) engine.endScrub();
    drag.current = undefined;
    onSettled();
  };
  const leave = () => {
    hover.current = undefined;
    setTip.current?.(undefined);
  };

  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    // React's wheel listeners are passive; this one keeps the page from scrolling.
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const box = element.getBoundingClientRect();
      const old = view.current;
      const sideways = event.shiftKey ? event.deltaY : event.deltaX;
      const next =
        sideways !== 0 && Math.abs(sideways) >= Math.abs(event.shiftKey ? 0 : event.deltaY)
          ? panned(old, (sideways / box.width) * spanOf(old))
          : zoomed(old, ZOOM_STEP ** Math.sign(event.deltaY), usAt(old, event.clientX - box.left, box.width));
      view.current = next;
      onView(next);
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, [view, onView]);

  const key = (event: KeyboardEvent) => {
    const jump = { Home: inUs, End: outUs }[event.code];
    const page = { PageUp: -1, PageDown: 1 }[event.code];
    if (jump !== undefined) engine.seek(jump);
    else if (page !== undefined) engine.seek(engine.nowUs() + page * spanOf(view.current) * 0.25);
    else return;
    event.preventDefault();
    onSettled();
  };

  const rowOf = (camera: Playable) => coverage?.rows.find((row) => row.camera === camera.id);
  const missing = cameras.filter((camera) => stateAt(rowOf(camera), us).is === "gap").map((camera) => camera.id);
  const state = missing.length ? words("timeline_missing", { cameras: missing.join(", ") }) : words("timeline_all_recorded");

  const marked = new Set([...marks.rows.values()].flat().map((mark) => mark.event.id)).size;

  return (
    <div className={styles.timelineBox}>
      <div className={styles.zoom}>
        <Button aria-label={words("timeline_zoom_out")} onPress={() => onZoom(2)}>
          −
        </Button>
        <Button aria-label={words("timeline_zoom_in")} onPress={() => onZoom(0.5)}>
          +
        </Button>
        {SPANS.map(({ label, us: wide }) => (
          <Button key={label} look="quiet" onPress={() => onSpan(wide)}>
            {label}
          </Button>
        ))}
        <span className={styles.legend}>
          <i /> {words("timeline_recorded")}
        </span>
        <span className={styles.legend}>
          <i data-gap /> {words("timeline_gap")}
        </span>
        {density.size > 0 && (
          <span className={styles.legend}>
            <i data-motion /> {words("timeline_motion")}
          </span>
        )}
        {marked > 0 && (
          <Link
            className={styles.legend}
            data-marked={marked}
            to="/events"
            search={{
              c: cameras.map((camera) => camera.id).join(","),
              f: Math.floor(view.current.fromUs / 1e6),
              t: Math.ceil(view.current.toUs / 1e6),
              v: "notice",
            }}
          >
            <span aria-hidden>▲●</span> {words(marks.more ? "timeline_events_more" : "timeline_events", { n: marked })}
          </Link>
        )}
        {held.length > 0 && (
          <span className={styles.legend}>
            <i data-held /> {words("timeline_held")}
          </span>
        )}
        <span className={styles.spring} />
        <span className={styles.legend}>{words("timeline_keys")}</span>
      </div>
      <div className={styles.timeline}>
        <ul className={styles.rowNames} style={{ paddingTop: AXIS_PX }} aria-hidden>
          {cameras.map((camera) => (
            <li key={camera.id} style={{ height: ROW_PX, lineHeight: `${ROW_PX}px` }}>
              <b>{camera.id}</b> {camera.name}
            </li>
          ))}
        </ul>
        <div
          className={styles.slider}
          role="slider"
          tabIndex={0}
          aria-label={words("timeline_label")}
          aria-valuemin={Math.floor(view.current.fromUs / 1e6)}
          aria-valuemax={Math.ceil(view.current.toUs / 1e6)}
          aria-valuenow={Math.floor(us / 1e6)}
          aria-valuetext={words("timeline_value", { time: moment(us, nodeNowUs()), state })}
          onKeyDown={key}
        >
          <canvas
            ref={canvas}
            style={{ height }}
            onPointerDown={down}
            onPointerMove={move}
            onPointerUp={up}
            onPointerCancel={up}
            onPointerLeave={leave}
          />
          <Tip tell={setTip} {...{ cameras, coverage, held, marks, view, canvas }} />
        </div>
      </div>
    </div>
  );
}

/** The words at the pointer. It has its own state: a pointer that moves redraws these words and nothing else. */
function Tip({
  tell,
  cameras,
  coverage,
  held,
  marks,
  view,
  canvas,
}: {
  tell: RefObject<((pointer: Pointer | undefined) => void) | undefined>;
  cameras: readonly Playable[];
  coverage: Coverage | undefined;
  held: readonly HeldSpan[];
  marks: TimelineProps["marks"];
  view: RefObject<View>;
  canvas: RefObject<HTMLCanvasElement | null>;
}) {
  const [tip, setTip] = useState<Pointer>();
  useEffect(() => {
    tell.current = setTip;
    return () => {
      tell.current = undefined;
    };
  }, [tell]);
  const words = useWords();
  if (!tip) return null;
  const width = canvas.current?.clientWidth ?? 0;
  const camera = cameras[tip.row];
  const found =
    camera &&
    stateAt(
      coverage?.rows.find((row) => row.camera === camera.id),
      tip.us,
    );
  const kept = held.filter((one) => one.camera === camera?.id && one.fromUs <= tip.us && tip.us < one.toUs);
  const happened = camera ? near(marks.rows.get(camera.id) ?? [], tip.us, spanOf(view.current) / Math.max(1, width)) : [];
  const cause = found?.is === "gap" ? coverage?.causes[found.gap.code] : undefined;
  return (
    <div className={styles.tip} style={{ left: Math.max(90, Math.min(width - 90, tip.x)) }}>
      {preciseTime(tip.us)}
      {found?.is === "gap" && (
        <>
          <br />
          <strong>
            ▨ {camera?.id} · {cause ? words.of(cause) : words("timeline_gap")}
          </strong>
          <br />
          {clockTime(found.gap.fromUs)}–{clockTime(found.gap.toUs)} · {span((found.gap.toUs - found.gap.fromUs) / 1000)}
          {found.gap.detail && (
            <>
              <br />
              {found.gap.detail}
            </>
          )}
        </>
      )}
      {happened.slice(0, NAMED).map(({ event, heavy }) => (
        <span key={event.id} className={styles.kept}>
          {heavy ? "▲" : "●"} {clockTime(event.time_us)} {words.of(event.kind_name)}
        </span>
      ))}
      {happened.length > NAMED && <span className={styles.kept}>{words("timeline_events", { n: happened.length })}</span>}
      {kept.map(({ id, untilUs, waiting }) => (
        <span key={id} className={styles.kept}>
          ⎴ {words(waiting ? "timeline_hold_waits" : "timeline_hold", { id, time: moment(untilUs, nodeNowUs()) })}
        </span>
      ))}
    </div>
  );
}

type Drawing = {
  canvas: RefObject<HTMLCanvasElement | null>;
  engine: Engine;
  view: RefObject<View>;
  latest: RefObject<Pick<TimelineProps, "cameras" | "coverage" | "held" | "density" | "marks" | "inUs" | "outUs">>;
  hover: RefObject<{ us: UtcMicros } | undefined>;
  theme: string;
  height: number;
  onView(view: View): void;
};

/** Redraws once a display frame, and only when something that is drawn has changed by at least half a pixel. */
function useDrawing({ canvas, engine, view, latest, hover, theme, height, onView }: Drawing): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: the palette is read again when the theme changes.
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d", { alpha: false });
    if (!element || !context) return;
    const palette: Palette = paletteOf(element);
    let drawn: unknown[] = [];
    let request = 0;
    const draw = () => {
      request = requestAnimationFrame(draw);
      const scale = window.devicePixelRatio || 1;
      const width = element.clientWidth;
      if (width === 0) return;
      if (element.width !== Math.round(width * scale) || element.height !== Math.round(height * scale)) {
        element.width = Math.round(width * scale);
        element.height = Math.round(height * scale);
        drawn = [];
      }
      const headUs = engine.nowUs();
      if (engine.use.getState().playing) {
        const followed = following(view.current, headUs);
        if (followed !== view.current) {
          view.current = followed;
          onView(followed);
        }
      }
      const { cameras, coverage, held, density, marks, inUs, outUs } = latest.current;
      const nowUs = nodeNowUs();
      const half = (us: UtcMicros) => Math.round(xOf(view.current, us, width) * 2);
      const signature = [
        view.current,
        half(headUs),
        half(nowUs),
        hover.current?.us,
        inUs,
        outUs,
        coverage,
        cameras,
        held,
        density,
        marks,
      ];
      if (signature.every((value, index) => value === drawn[index])) return;
      drawn = signature;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      const rows = cameras.map((camera) => coverage?.rows.find((row) => row.camera === camera.id));
      drawTimeline(context, width, height, palette, {
        view: view.current,
        headUs,
        nowUs,
        hoverUs: hover.current?.us,
        inUs,
        outUs,
        rows,
        density: cameras.map((camera) => density.get(camera.id)),
        held: cameras.map((camera) => held.filter((span) => span.camera === camera.id)),
        marks: cameras.map((camera) => marks.rows.get(camera.id) ?? []),
      });
    };
    draw();
    return () => cancelAnimationFrame(request);
  }, [canvas, engine, view, latest, hover, theme, height, onView]);
}
