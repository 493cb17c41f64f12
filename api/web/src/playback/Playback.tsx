/** Playback of one to four cameras on one clock. Everything that is on screen stands in the address. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api, fetched, nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { mayWatch, useMe } from "../session";
import { NoticeBox } from "../ui/controls";
import { useKeyTable } from "../ui/keys";
import type { StreamKind, UtcMicros } from "../wire";
import { camerasOf, MOST_CAMERAS, type PlaybackAddress } from "./address";
import { type Playable, playable } from "./choice";
import { heldSpans } from "./coverage";
import type { Density } from "./draw";
import { ExportDialog } from "./ExportDialog";
import { Engine, RATES, type Rate } from "./engine";
import { Gaps } from "./Gaps";
import { marksOf } from "./marks";
import styles from "./Playback.module.css";
import { Region } from "./Region";
import { Screen } from "./Screen";
import { centred, spanOf, type View, zoomed } from "./scale";
import { Timeline } from "./Timeline";
import { AddCamera, Tools } from "./Tools";

const FIRST_SPAN_S = 600;
/** Where playback opens without a time: a little before now, where footage is durable. */
/** Events that the timeline marks at once. */
const MARKS_MOST = 500;
const FIRST_BACK_US = 30e6;
/** One picture at 25 a second. */
const FRAME_US = 40_000;

export function Playback() {
  const words = useWords();
  const { me } = useMe();
  const cameras = useQuery({ queryKey: ["cameras"], queryFn: ({ signal }) => api.cameras(signal), staleTime: 10_000 });
  const list = fetched(cameras);
  const address = useSearch({ from: "/playback" });
  const go = useNavigate({ from: "/playback" });

  if (me && !mayWatch(me)) return <p className={styles.message}>{words("no_video_role")}</p>;
  if (list.state === "loading") return <p className={styles.message}>{words("loading")}</p>;
  if (list.state === "failed") {
    return (
      <div className={styles.message}>
        <NoticeBox notice={list.notice} />
      </div>
    );
  }
  const all = playable(list.value);
  const named = camerasOf(address.c);
  const chosen = named.flatMap((id) => all.find((camera) => camera.id === id) ?? []);
  const missing = named.filter((id) => !all.some((camera) => camera.id === id));
  if (chosen.length === 0) {
    return (
      <div className={styles.message}>
        <h1>{words("playback_pick")}</h1>
        <Missing ids={missing} />
        <AddCamera all={all} chosen={[]} onAdd={(id) => go({ search: (old) => ({ ...old, c: String(id) }) })} />
      </div>
    );
  }
  return <Deck all={all} chosen={chosen} missing={missing} person={me?.person.display || me?.person.name || ""} />;
}

/** A link may name cameras that are not here, or not for this person to see: they are named, not passed over. */
function Missing({ ids }: { ids: number[] }) {
  const words = useWords();
  if (ids.length === 0) return null;
  return (
    <p className={styles.missing} role="status">
      {words("playback_missing", { ids: ids.join("、") })}
    </p>
  );
}

/** One camera is shown from its main stream; several share the machine, so they show their sub-streams. */
function streamOf(address: PlaybackAddress, chosen: readonly Playable[]): StreamKind {
  const hasSub = chosen.every((camera) => camera.streams.some((stream) => stream.kind === "sub"));
  if (!hasSub) return "main";
  return address.q ?? (chosen.length > 1 ? "sub" : "main");
}

function useEngine(stream: StreamKind, startUs: UtcMicros): Engine | undefined {
  const [engine, setEngine] = useState<Engine>();
  const start = useRef(startUs);
  useEffect(() => {
    const fresh = new Engine(stream, start.current);
    setEngine(fresh);
    return () => {
      start.current = fresh.nowUs();
      fresh.close();
    };
  }, [stream]);
  return engine;
}

function Deck({ all, chosen, missing, person }: { all: Playable[]; chosen: Playable[]; missing: number[]; person: string }) {
  const address = useSearch({ from: "/playback" });
  const stream = streamOf(address, chosen);
  const start = useRef(address.t === undefined ? nodeNowUs() - FIRST_BACK_US : address.t * 1e6);
  const engine = useEngine(stream, start.current);
  if (!engine) return null;
  return <Running {...{ all, chosen, missing, person, stream, engine, address }} />;
}

/** Coverage of twice the visible span, so that a small pan needs no question; asked again while it can still change. */
function useCoverage(chosen: readonly Playable[], stream: StreamKind, view: View) {
  const ids = chosen.map((camera) => camera.id);
  const gridUs = 2 ** Math.ceil(Math.log2(spanOf(view)));
  const fromUs = (Math.floor(view.fromUs / gridUs) - 0.5) * gridUs;
  const toUs = (Math.ceil(view.toUs / gridUs) + 0.5) * gridUs;
  return useQuery({
    queryKey: ["coverage", ids, stream, fromUs, toUs],
    queryFn: ({ signal }) =>
      api.coverage({ cameras: ids, stream, from_us: Math.floor(fromUs), to_us: Math.floor(toUs), px: 4000 }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: toUs > nodeNowUs() ? 3000 : false,
  });
}

/** How much moved, for twice the visible span. It is asked anew seldom: it changes by the end only. */
function useDensity(chosen: readonly Playable[], view: View): ReadonlyMap<number, Density> {
  const ids = chosen.map((camera) => camera.id);
  const gridUs = 2 ** Math.ceil(Math.log2(spanOf(view)));
  const fromUs = Math.max(0, Math.floor((Math.floor(view.fromUs / gridUs) - 0.5) * gridUs));
  const toUs = Math.floor((Math.ceil(view.toUs / gridUs) + 0.5) * gridUs);
  const query = useQuery({
    queryKey: ["density", ids, fromUs, toUs],
    queryFn: ({ signal }) => api.density({ cameras: ids, from_us: fromUs, to_us: toUs, columns: 2400 }, signal),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    refetchInterval: toUs > nodeNowUs() ? 30_000 : false,
  });
  const answer = query.data;
  return useMemo(
    () =>
      new Map(
        answer?.rows
          .filter((row) => row.moved.some((percent) => percent >= 0))
          .map((row) => [row.camera, { fromUs: answer.from_us, toUs: answer.to_us, moved: row.moved }]),
      ),
    [answer],
  );
}

/** What happened, for twice the visible span: everything but mere movement, which the row itself shows. At most a page, the newest. */
function useMarks(chosen: readonly Playable[], view: View) {
  const ids = useMemo(() => chosen.map((camera) => camera.id), [chosen]);
  const gridUs = 2 ** Math.ceil(Math.log2(spanOf(view)));
  const from_us = Math.max(0, Math.floor((Math.floor(view.fromUs / gridUs) - 0.5) * gridUs));
  const to_us = Math.floor((Math.ceil(view.toUs / gridUs) + 0.5) * gridUs);
  const query = useQuery({
    queryKey: ["marks", ids, from_us, to_us],
    queryFn: ({ signal }) =>
      api.events({ cameras: ids.join(","), severity: "notice", from_us, to_us, limit: MARKS_MOST }, signal),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
    refetchInterval: to_us > nodeNowUs() ? 30_000 : false,
    retry: false,
    enabled: ids.length > 0,
  });
  const answer = query.data;
  return useMemo(() => ({ rows: marksOf(answer?.events ?? [], ids), more: (answer?.next ?? null) !== null }), [answer, ids]);
}

/** Holds change rarely, and whoever may not see them sees a timeline without them. */
function useHeld(chosen: readonly Playable[]) {
  const holds = useQuery({ queryKey: ["holds"], queryFn: ({ signal }) => api.holds(signal), staleTime: 30_000 });
  const list = holds.data?.holds;
  return useMemo(
    () =>
      heldSpans(
        list ?? [],
        chosen.map((camera) => camera.id),
      ),
    [list, chosen],
  );
}

function Running({
  all,
  chosen,
  missing,
  person,
  stream,
  engine,
  address,
}: {
  all: Playable[];
  chosen: Playable[];
  missing: number[];
  person: string;
  stream: StreamKind;
  engine: Engine;
  address: PlaybackAddress;
}) {
  const words = useWords();
  const go = useNavigate({ from: "/playback" });
  const playing = engine.use((state) => state.playing);
  const rate = engine.use((state) => state.rate);
  const [exporting, setExporting] = useState(false);
  const first = useMemo(() => centred(engine.nowUs(), (address.z ?? FIRST_SPAN_S) * 1e6), [engine, address.z]);
  const view = useRef(first);
  const [seen, setSeen] = useState(first);
  const coverage = useCoverage(chosen, stream, seen);
  const held = useHeld(chosen);
  const density = useDensity(chosen, seen);
  const marks = useMarks(chosen, seen);
  const change = useCallback(
    (next: Partial<PlaybackAddress>) => go({ search: (old) => ({ ...old, ...next }), replace: true }),
    [go],
  );

  const remember = useCallback(() => {
    const t = Math.round(engine.nowUs() / 1e5) / 10;
    change({ t, z: Math.round(spanOf(view.current) / 1e5) / 10 });
  }, [engine, change]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const onView = useCallback(
    (next: View) => {
      clearTimeout(timer.current);
      timer.current = setTimeout(() => {
        setSeen(next);
        remember();
      }, 150);
    },
    [remember],
  );
  useEffect(() => () => clearTimeout(timer.current), []);
  // A link made while playing opens where the play head was a few seconds ago.
  useEffect(() => {
    if (!playing) return;
    const every = setInterval(remember, 5000);
    return () => clearInterval(every);
  }, [playing, remember]);

  const mark = (name: "i" | "o", us: UtcMicros | undefined) =>
    change({ [name]: us === undefined ? undefined : Math.round(us / 1e4) / 100 });
  const seek = (us: UtcMicros) => {
    engine.seek(us);
    if (us < view.current.fromUs || us > view.current.toUs) {
      view.current = centred(us, spanOf(view.current));
      onView(view.current);
    }
    remember();
  };
  const zoom = (factor: number) => {
    view.current = zoomed(view.current, factor, engine.nowUs());
    onView(view.current);
  };
  const setSpan = (spanUs: number) => {
    view.current = centred(engine.nowUs(), spanUs);
    onView(view.current);
  };
  /** What is marked, as the beginning of a request to keep it. */
  const hold = () =>
    go({
      to: "/health/holds",
      search: {
        c: chosen.map((camera) => camera.id).join(","),
        ...(address.i && { i: address.i }),
        ...(address.o && { o: address.o }),
      },
    });
  const setCameras = (ids: number[]) => change({ c: ids.join(",") });
  const step = (direction: 1 | -1) => {
    const at = RATES.indexOf(rate) + direction;
    const next: Rate | undefined = RATES[at];
    if (next) engine.setRate(next);
  };

  const move = (byUs: number) => () => {
    if (document.activeElement?.closest("[role='radiogroup'], [role='application']")) return false;
    seek(engine.nowUs() + byUs);
  };
  useKeyTable("playback", {
    incident: () => void go({ to: "/incidents", search: { n: "1", c: String(chosen[0]?.id ?? ""), t: engine.nowUs() / 1e6 } }),
    toggle() {
      if (document.activeElement?.closest("button, a, [role='radio'], [role='application']")) return false;
      engine.play(!playing);
      remember();
    },
    stop() {
      engine.play(false);
      remember();
    },
    faster() {
      if (playing) step(1);
      else engine.play(true);
    },
    slower: () => step(-1),
    frame_back: () => seek(engine.nowUs() - FRAME_US),
    frame_on: () => seek(engine.nowUs() + FRAME_US),
    back: move(-5e6),
    on: move(5e6),
    minute_back: move(-60e6),
    minute_on: move(60e6),
    zoom_in: () => zoom(0.5),
    zoom_out: () => zoom(2),
    mark_in: () => mark("i", engine.nowUs()),
    mark_out: () => mark("o", engine.nowUs()),
    export: () => setExporting(true),
    region: () => change({ r: address.r === undefined ? "" : undefined }),
    hold,
    time: () => document.querySelector<HTMLInputElement>("input[name='time']")?.focus(),
  });

  const inUs = address.i === undefined ? undefined : address.i * 1e6;
  const outUs = address.o === undefined ? undefined : address.o * 1e6;
  const others = (id: number) => chosen.map((camera) => camera.id).filter((other) => other !== id);
  return (
    <div className={styles.page}>
      <h1 className="unseen">{words("playback_label")}</h1>
      <div>
        <Tools
          {...{ all, chosen, engine, stream, inUs, outUs }}
          onSeek={seek}
          onMark={mark}
          onStream={(q) => change({ q })}
          onAdd={(id) => setCameras([...others(id), id].slice(-MOST_CAMERAS))}
          onExport={() => setExporting(true)}
          onRegion={() => change({ r: address.r === undefined ? "" : undefined })}
          searching={address.r !== undefined}
        />
        <Missing ids={missing} />
      </div>
      <div className={styles.middle}>
        <ul className={styles.screens} data-count={chosen.length}>
          {chosen.map((camera) => (
            <Screen
              key={`${camera.id}-${stream}`}
              {...{ engine, camera }}
              coverage={coverage.data}
              watermark={person}
              onRemove={() => setCameras(others(camera.id))}
            />
          ))}
        </ul>
        {address.r !== undefined && (
          <Region
            {...{ cameras: chosen, view: seen, inUs, outUs }}
            region={address.r}
            onRegion={(r) => change({ r })}
            onSeek={seek}
            onClose={() => change({ r: undefined })}
          />
        )}
      </div>
      <div className={styles.bottom}>
        <Timeline
          {...{ engine, view, inUs, outUs, onView, held, density, marks }}
          cameras={chosen}
          coverage={coverage.data}
          onSettled={remember}
          onZoom={zoom}
          onSpan={setSpan}
        />
        <Gaps coverage={coverage.data} view={seen} onGo={seek} />
      </div>
      {exporting && <ExportDialog cameras={chosen} fromUs={inUs} toUs={outUs} onClose={() => setExporting(false)} />}
    </div>
  );
}
