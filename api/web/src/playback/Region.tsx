/** "When did something move here?": a region drawn on the picture that is on screen, and the times that answer, each of which seeks. */
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { type KeyboardEvent, type PointerEvent, useEffect, useRef, useState } from "react";
import { api, fetched, nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { moment, span } from "../time";
import { Button, Choice, NoticeBox } from "../ui/controls";
import type { MotionAnswer, UtcMicros } from "../wire";
import type { Playable } from "./choice";
import styles from "./Region.module.css";
import { between, COLUMNS, cellAt, cellsOf, cellsText, ROWS, searched, stepped, WHENS, type When } from "./region";
import type { View } from "./scale";

/** Playback begins a little before the movement. */
const LEAD_US = 2e6;
const PAGE = 100;

export type RegionProps = {
  cameras: readonly Playable[];
  /** Cells as the address has them. */
  region: string;
  view: View;
  inUs: UtcMicros | undefined;
  outUs: UtcMicros | undefined;
  onRegion(region: string): void;
  onSeek(us: UtcMicros): void;
  onClose(): void;
};

export function Region({ cameras, region, view, inUs, outUs, onRegion, onSeek, onClose }: RegionProps) {
  const words = useWords();
  const [camera, setCamera] = useState(String(cameras[0]?.id ?? ""));
  const chosen = cameras.find((one) => String(one.id) === camera) ?? cameras[0];
  const [when, setWhen] = useState<When>("day");
  if (!chosen) return null;
  return (
    <section className={styles.panel} aria-label={words("region_title")}>
      <header>
        <h2>{words("region_title")}</h2>
        <Button look="quiet" onPress={onClose}>
          {words("close")}
        </Button>
      </header>
      {cameras.length > 1 && (
        <Choice
          label={words("playback_cameras")}
          value={camera}
          options={cameras.map((one) => ({ value: String(one.id), text: String(one.id), label: `${one.id} ${one.name}` }))}
          onChange={setCamera}
        />
      )}
      <Drawing key={chosen.id} camera={chosen} region={region} onRegion={onRegion} />
      <Choice<When>
        label={words("region_when")}
        value={when}
        options={WHENS.map((value) => ({ value, text: words(`region_when_${value}`) }))}
        onChange={setWhen}
      />
      <Found camera={chosen} region={region} wanted={{ when, view, inUs, outUs }} onSeek={onSeek} />
    </section>
  );
}

/** The picture that is on screen now, under a grid. Pointer: drag adds a rectangle. Keys: arrows walk, space adds or takes a cell. */
function Drawing({ camera, region, onRegion }: { camera: Playable; region: string; onRegion(region: string): void }) {
  const words = useWords();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [cursor, setCursor] = useState(COLUMNS * (ROWS / 2) + COLUMNS / 2);
  const [drag, setDrag] = useState<{ from: number; to: number }>();
  // The address follows a moment later, and keys do not wait for it.
  const [cells, setCells] = useState(() => cellsOf(region));
  useEffect(() => setCells(cellsOf(region)), [region]);
  const choose = (next: Set<number>) => {
    setCells(next);
    onRegion(cellsText(next));
  };
  const shown = new Set([...cells, ...(drag ? between(drag.from, drag.to) : [])]);
  useEffect(() => {
    const screen = document.querySelector(`li[data-camera="${camera.id}"]`);
    const keys = screen?.querySelector<HTMLCanvasElement>('canvas[data-top="true"]');
    const video = screen?.querySelector("video");
    const context = canvas.current?.getContext("2d");
    const picture = keys ?? (video && video.videoWidth > 0 ? video : undefined);
    if (context && picture) context.drawImage(picture, 0, 0, context.canvas.width, context.canvas.height);
  }, [camera.id]);

  const at = (event: PointerEvent) => {
    const box = event.currentTarget.getBoundingClientRect();
    return cellAt((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  };
  const end = () => {
    if (drag) choose(shown);
    setDrag(undefined);
  };
  const key = (event: KeyboardEvent) => {
    const next = stepped(cursor, event.code);
    if (next !== undefined) {
      setCursor(next);
      if (event.shiftKey) choose(new Set([...cells, cursor, next]));
    } else if (event.code === "Space") {
      const others = new Set(cells);
      if (!others.delete(cursor)) others.add(cursor);
      choose(others);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className={styles.drawing}>
      <canvas ref={canvas} width={352} height={198} aria-hidden />
      <svg
        viewBox={`0 0 ${COLUMNS} ${ROWS}`}
        preserveAspectRatio="none"
        role="application"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: keys choose cells here as the pointer does.
        tabIndex={0}
        aria-label={words("region_draw", { number: camera.id, cells: cells.size })}
        onKeyDown={key}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setDrag({ from: at(event), to: at(event) });
        }}
        onPointerMove={(event) => drag && setDrag({ from: drag.from, to: at(event) })}
        onPointerUp={end}
        onPointerCancel={() => setDrag(undefined)}
      >
        {[...shown].map((cell) => (
          <rect key={cell} x={cell % COLUMNS} y={Math.floor(cell / COLUMNS)} width={1} height={1} className={styles.cell} />
        ))}
        <rect x={cursor % COLUMNS} y={Math.floor(cursor / COLUMNS)} width={1} height={1} className={styles.cursor} />
      </svg>
      <p>
        <span>{words("region_hint")}</span>
        <Button look="quiet" isDisabled={cells.size === 0} onPress={() => onRegion("")}>
          {words("region_clear")}
        </Button>
      </p>
    </div>
  );
}

type Wanted = { when: When; view: View; inUs: UtcMicros | undefined; outUs: UtcMicros | undefined };

function Found({
  camera,
  region,
  wanted: { when, view, inUs, outUs },
  onSeek,
}: {
  camera: Playable;
  region: string;
  wanted: Wanted;
  onSeek(us: UtcMicros): void;
}) {
  const words = useWords();
  const nowUs = nodeNowUs();
  const span_ = searched(when, view, inUs, outUs, nowUs);
  // A search is written to the register: the same one is not asked again because the clock moved on.
  const [asked, setAsked] = useState<{ region: string; when: When; fromUs: UtcMicros; toUs: UtcMicros }>();
  const query = useInfiniteQuery({
    queryKey: ["motion", camera.id, asked],
    queryFn: ({ signal, pageParam }) =>
      api.motion(
        {
          cameras: camera.id,
          from_us: Math.floor(asked?.fromUs ?? 0),
          to_us: Math.floor(asked?.toUs ?? 1),
          cells: asked?.region,
          limit: PAGE,
          after: pageParam || undefined,
        },
        signal,
      ),
    initialPageParam: "",
    getNextPageParam: (last: MotionAnswer) => last.next ?? undefined,
    placeholderData: keepPreviousData,
    enabled: asked !== undefined,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const answer = fetched(query);
  const pages = answer.state === "ready" && asked ? answer.value.pages : [];
  const spans = pages.flatMap((page) => page.spans);
  const seen = pages.at(-1)?.coverage.cameras[0];
  return (
    <>
      <div className={styles.ask}>
        <Button
          look="primary"
          isDisabled={region === "" || !span_}
          onPress={() => span_ && setAsked({ region, when, fromUs: span_.fromUs, toUs: span_.toUs })}
        >
          {words("region_search")}
        </Button>
        {!span_ && <span>{words("export_range_missing")}</span>}
      </div>
      {answer.state === "failed" && asked && <NoticeBox notice={answer.notice} />}
      {asked && (
        <div className={styles.found} aria-live="polite">
          {query.isFetching && <p>{words("loading")}</p>}
          {answer.state === "ready" && (
            <p>
              {words(pages.at(-1)?.next ? "region_found_more" : "region_found", { n: spans.length })}
              {seen && ` · ${words("region_seen", { percent: Math.floor(seen.share * 100) })}`}
            </p>
          )}
          <ul>
            {spans.map((found) => (
              <li key={`${found.camera}-${found.from_us}`}>
                <Button look="quiet" onPress={() => onSeek(found.from_us - LEAD_US)}>
                  {moment(found.from_us, nowUs)} · {span((found.to_us - found.from_us) / 1000)}
                </Button>
              </li>
            ))}
          </ul>
          {query.hasNextPage && <Button onPress={() => void query.fetchNextPage()}>{words("region_more")}</Button>}
          {seen && seen.unseen.length > 0 && (
            <details>
              <summary>{words("region_unseen", { n: seen.unseen.length })}</summary>
              <ul>
                {seen.unseen.map(([fromUs, toUs]) => (
                  <li key={fromUs}>
                    {moment(fromUs, nowUs)} – {moment(toUs, nowUs)}
                  </li>
                ))}
              </ul>
            </details>
          )}
        </div>
      )}
    </>
  );
}
