/** The live wall: a spot at full rate, key-frame tiles around it, every picture's age watched. */
import { useQuery } from "@tanstack/react-query";
import { Navigate, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useReducer, useRef, useState } from "react";
import { api, fetched, nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { type Media, openMedia, pageNowMs, useMediaState } from "../media/client";
import type { Rect, Want } from "../media/protocol";
import { camerasOf } from "../playback/address";
import { mayReadRegister, mayWatch, useMe } from "../session";
import { moment } from "../time";
import { Button, Choice, NoticeBox } from "../ui/controls";
import { digitOf } from "../ui/keymap";
import { useKeyTable } from "../ui/keys";
import type { Camera } from "../wire";
import { LAYOUTS, type SpotStream, type WallAddress } from "./address";
import { arrange, type Direction, neighbour, type Place } from "./layout";
import { spotTier, useTooHeavy } from "./spot";
import { tileState } from "./state";
import { Tile } from "./Tile";
import styles from "./Wall.module.css";

export function Wall() {
  const words = useWords();
  const { me } = useMe();
  const cameras = useQuery({
    queryKey: ["cameras"],
    queryFn: ({ signal }) => api.cameras(signal),
    refetchInterval: 4000,
    enabled: me !== undefined && mayWatch(me),
  });
  const list = fetched(cameras);

  // The page that everybody is led to first: whoever may not watch is led on to what they may see.
  if (me && !mayWatch(me)) return <Navigate to={mayReadRegister(me) ? "/records" : "/health"} replace />;
  if (list.state === "loading") return <p className={styles.message}>{words("loading")}</p>;
  if (list.state === "failed") {
    return (
      <div className={styles.message}>
        <NoticeBox notice={list.notice} />
      </div>
    );
  }
  if (list.value.cameras.length === 0) return <p className={styles.message}>{words("wall_empty")}</p>;
  return <CameraWall cameras={list.value.cameras} person={me?.person.display || me?.person.name || ""} />;
}

function useMedia() {
  const host = useRef<HTMLDivElement>(null);
  const [media, setMedia] = useState<Media>();
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const element = host.current;
    if (!element) return;
    // A fresh canvas each time: one that was handed to a worker cannot be handed on.
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    element.prepend(canvas);
    const opened = openMedia(canvas);
    setMedia(opened);
    const observer = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      opened.close();
      canvas.remove();
      setMedia(undefined);
    };
  }, []);
  return { host, media, size };
}

function useHalfSecond(): void {
  const [, tick] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, []);
}

/** A rectangle of the canvas in device pixels, inside the tile's border. */
function onCanvas(place: Place, width: number, height: number): Rect {
  const [x, y] = [Math.round(place.x * width) + 1, Math.round(place.y * height) + 1];
  return {
    x,
    y,
    width: Math.round((place.x + place.width) * width) - x - 1,
    height: Math.round((place.y + place.height) * height) - y - 1,
  };
}

const SPOT = "spot";

function CameraWall({ cameras, person }: { cameras: Camera[]; person: string }) {
  const words = useWords();
  const address = useSearch({ from: "/wall" });
  const go = useNavigate({ from: "/wall" });
  const { host, media, size } = useMedia();
  const { slots, link, kbitPerS } = useMediaState();
  const buttons = useRef(new Map<number, HTMLButtonElement>());
  const [selected, setSelected] = useState(0);
  const [typed, setTyped] = useState("");
  const [unknown, setUnknown] = useState<string>();
  const [labels, setLabels] = useState(true);
  useHalfSecond();

  const layout = address.l ?? 16;
  const { spot: spotPlace, tiles: places } = useMemo(() => arrange(layout), [layout]);
  const perGroup = Math.max(1, places.length);
  const groups = Math.max(1, Math.ceil(cameras.length / perGroup));
  const group = Math.min(address.p ?? 1, groups);
  const shown = useMemo(() => cameras.slice((group - 1) * perGroup, group * perGroup), [cameras, group, perGroup]);
  const spotCamera = cameras.find((camera) => camera.id === address.s) ?? (address.s ? undefined : shown[0]);
  const change = (next: Partial<WallAddress>) => go({ search: (old) => ({ ...old, ...next }), replace: true });

  const scale = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * scale), Math.round(size.height * scale)];
  const tooHeavy = useTooHeavy(spotCamera, slots.get(SPOT));
  const tier = spotCamera && spotTier(spotCamera, address.q ?? "auto", spotPlace.width * width, tooHeavy);

  const ids = shown.map((camera) => camera.id).join(",");
  useEffect(() => {
    if (!media || width === 0 || height === 0) return;
    const wants: Want[] = [];
    if (spotCamera && tier) wants.push({ slot: SPOT, camera: spotCamera.id, tier, rect: onCanvas(spotPlace, width, height) });
    for (const [index, id] of ids.split(",").entries()) {
      const place = places[index];
      if (id && place)
        wants.push({ slot: `tile-${index}`, camera: Number(id), tier: "key", rect: onCanvas(place, width, height) });
    }
    media.show(wants, width, height);
  }, [media, width, height, spotCamera?.id, tier, spotPlace, ids, places, spotCamera]);

  const toSpot = (id: number) => {
    setTyped("");
    if (cameras.some((camera) => camera.id === id)) {
      setUnknown(undefined);
      change({ s: id });
    } else setUnknown(String(id));
  };
  const select = (index: number) => {
    setSelected(index);
    buttons.current.get(index)?.focus();
  };
  const toGroup = (next: number) => {
    if (next >= 1 && next <= groups) change({ p: next });
  };
  /** Half a minute ago, of as many of these cameras as playback takes. */
  const replay = (of: readonly (Camera | undefined)[]) => {
    const wanted = camerasOf(of.map((camera) => camera?.id).join(","));
    if (wanted.length === 0) return;
    go({ to: "/playback", search: { c: wanted.join(","), t: Math.floor(nodeNowUs() / 1e6) - 30, z: 600 } });
  };

  const arrow = (direction: Direction) => () => {
    if (document.activeElement?.closest("[role='radiogroup']")) return false;
    select(neighbour(places, selected, direction));
  };
  useKeyTable("wall", {
    digit({ code }) {
      setUnknown(undefined);
      setTyped((text) => (text + digitOf(code)).slice(-9));
    },
    enter() {
      if (typed) toSpot(Number(typed));
      else if (document.activeElement?.closest("button:not([data-state]), a")) return false;
      else if (shown[selected]) toSpot(shown[selected].id);
    },
    clear() {
      if (typed === "" && unknown === undefined) return false;
      setTyped("");
      setUnknown(undefined);
    },
    rub: () => setTyped((text) => text.slice(0, -1)),
    up: arrow("up"),
    down: arrow("down"),
    left: arrow("left"),
    right: arrow("right"),
    previous: () => toGroup(group - 1),
    next: () => toGroup(group + 1),
    replay: () => replay([spotCamera]),
    replay_view: () => replay([spotCamera, ...shown]),
    incident: () => void go({ to: "/incidents", search: { n: "1", c: String(shown[selected]?.id ?? spotCamera?.id ?? "") } }),
    labels: () => setLabels((shows) => !shows),
  });

  const nowMs = pageNowMs();
  const nodeUs = nodeNowUs();
  const stateOf = (camera: Camera | undefined, slot: string) => {
    const report = slots.get(slot);
    return tileState(camera, report?.camera === camera?.id ? report : undefined, link, nowMs, nodeUs);
  };
  const register = (index: number) => (element: HTMLButtonElement | null) => {
    if (element) buttons.current.set(index, element);
    else buttons.current.delete(index);
  };

  return (
    <div className={styles.page}>
      <h1 className="unseen">{words("wall_label")}</h1>
      <div className={styles.tools} role="toolbar" aria-label={words("wall_layout")}>
        <Choice
          label={words("wall_layout")}
          value={String(layout)}
          options={LAYOUTS.map((n) => ({ value: String(n), text: n, label: words("wall_layout_n", { n }) }))}
          onChange={(value) => change({ l: Number(value) as (typeof LAYOUTS)[number], p: 1 })}
        />
        {groups > 1 && (
          <span>
            <Button look="quiet" aria-label={words("wall_previous")} isDisabled={group === 1} onPress={() => toGroup(group - 1)}>
              ‹
            </Button>
            <span className={styles.dim}>{words("wall_page", { page: group, pages: groups })}</span>
            <Button look="quiet" aria-label={words("wall_next")} isDisabled={group === groups} onPress={() => toGroup(group + 1)}>
              ›
            </Button>
          </span>
        )}
        <Choice<SpotStream>
          label={words("wall_stream")}
          visibleLabel
          value={address.q ?? "auto"}
          options={[
            { value: "auto", text: words("wall_stream_auto") },
            { value: "sub", text: words("stream_sub") },
            { value: "main", text: words("stream_main") },
          ]}
          onChange={(q) => go({ search: ({ q: _, ...old }) => (q === "auto" ? old : { ...old, q }), replace: true })}
        />
        <Button onPress={() => replay([spotCamera])} isDisabled={!spotCamera}>
          {words("wall_to_playback")}
        </Button>
        <span aria-live="polite">
          {typed && (
            <span className={styles.number}>
              {words("wall_number")} {typed}
            </span>
          )}
          {unknown && <span className={styles.wrong}>{words("wall_number_unknown", { number: unknown })}</span>}
        </span>
        <span className={styles.spring} />
        <span className={styles.hint}>{words("wall_keys")}</span>
        <span className={styles.dim}>
          {words("wall_rate", {
            live: spotCamera ? 1 : 0,
            keys: places.length ? shown.length : 0,
            mbit: (kbitPerS / 1000).toFixed(1),
          })}
        </span>
      </div>
      <div className={styles.wall} ref={host}>
        <ul className={styles.tiles} data-labels={labels} aria-label={words("wall_tiles")}>
          <Tile
            spot
            camera={spotCamera}
            state={stateOf(spotCamera, SPOT)}
            place={spotPlace}
            current={false}
            tabbable
            watermark={`${person} · ${moment(nodeUs, nodeUs)}`}
            onSelect={() => {}}
            onOpen={() => {}}
            register={register(-1)}
          />
          {places.map((place, index) => {
            const camera = shown[index];
            return (
              <Tile
                key={`${place.x},${place.y}`}
                camera={camera}
                state={stateOf(camera, `tile-${index}`)}
                place={place}
                current={index === selected}
                tabbable={index === selected}
                onSelect={() => setSelected(index)}
                onOpen={() => {
                  setSelected(index);
                  if (camera) toSpot(camera.id);
                }}
                register={register(index)}
              />
            );
          })}
        </ul>
      </div>
    </div>
  );
}
