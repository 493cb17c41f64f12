/** Found events as pictures, newest first: each with the still of its camera at that time, or why there is none. */
import { useQuery } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useRef, useState } from "react";
import { api } from "../api";
import { useWords } from "../i18n";
import { clockTime } from "../time";
import type { FoundEvent, StreamKind } from "../wire";
import styles from "./Events.module.css";
import { choice, Frame, Glyph, type Listing, Mark, What, When, Where } from "./parts";
import { Strip, useStrip } from "./Strip";
import { type Still, Stills } from "./stills";

/** Wide enough for a card on any screen. */
const STILL_PX = 320;

/** One for the page's life: going to playback and back asks for nothing twice. */
const stills = new Stills(
  async ({ camera, stream, at_us }, signal) => URL.createObjectURL(await api.still(camera, stream, at_us, STILL_PX, signal)),
  (url) => URL.revokeObjectURL(url),
);

/** The cheapest stream of a camera that there is. */
export function useCheapStream(): (camera: number) => StreamKind | undefined {
  const cameras = useQuery({ queryKey: ["cameras"], queryFn: ({ signal }) => api.cameras(signal), staleTime: 10_000 });
  if (!cameras.data && !cameras.error) return () => undefined;
  const subs = new Set(
    cameras.data?.cameras.filter(({ streams }) => streams.some(({ kind }) => kind === "sub")).map(({ id }) => id),
  );
  return (camera) => (subs.has(camera) ? "sub" : "main");
}

/** Tells each card whether it can be seen. */
type Sight = { watch(card: Element, seen: (now: boolean) => void): () => void };
const InSight = createContext<Sight>({ watch: () => () => {} });

export function Grid({ mayWatch, ...listing }: Listing & { mayWatch: boolean }) {
  const words = useWords();
  const list = useRef<HTMLUListElement>(null);
  const streamOf = useCheapStream();
  const sight = useSight(list);
  return (
    <Frame view="grid" list={list} listing={listing}>
      <InSight value={sight}>
        <ul ref={list} className={styles.grid} aria-label={words("events_results")}>
          {listing.events.map((event, index) => (
            <li key={event.id}>
              <button {...choice(listing, index)} className={styles.card}>
                <Picture
                  event={event}
                  stream={mayWatch && event.camera !== null ? streamOf(event.camera) : undefined}
                  mayWatch={mayWatch}
                />
                <span className={styles.facts}>
                  <Glyph of={event} /> <strong>{words.of(event.kind_name)}</strong>
                  <Mark of={event} listing={listing} />
                  <When of={event} />
                </span>
                <Where of={event} />
                <What of={event} />
              </button>
            </li>
          ))}
        </ul>
      </InSight>
    </Frame>
  );
}

/** The still, or in its place why there is none. */
function Picture({ event, stream, mayWatch }: { event: FoundEvent; stream: StreamKind | undefined; mayWatch: boolean }) {
  const words = useWords();
  const place = useRef<HTMLSpanElement>(null);
  const still = useStill(place, event, stream);
  const strip = useStrip();
  const instead = () => {
    if (event.camera === null) return words("still_no_camera");
    if (!mayWatch) return words("still_not_allowed");
    if (still.state === "waiting") return words("loading");
    return still.state === "none" ? words.of(still.says) : "";
  };
  return (
    <span
      ref={place}
      className={styles.still}
      data-still={event.camera === null || !mayWatch ? "never" : still.state}
      {...strip.handlers}
    >
      {still.state === "shown" ? (
        <>
          <img src={still.url} alt={words("still_alt", { camera: event.camera ?? 0, time: clockTime(event.time_us) })} />
          {event.region && <Region of={event.region} />}
          {strip.at !== undefined && event.camera !== null && stream && (
            <Strip camera={event.camera} stream={stream} atUs={event.time_us} at={strip.at} />
          )}
        </>
      ) : (
        <span className={styles.instead}>
          <span aria-hidden>{still.state === "none" && !still.recorded ? "▨" : ""}</span>
          {instead()}
        </span>
      )}
    </span>
  );
}

/** Where in the picture it was. */
function Region({ of: [left, top, right, bottom] }: { of: [number, number, number, number] }) {
  return (
    <svg viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true">
      <rect x={left} y={top} width={right - left} height={bottom - top} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}

function useStill(place: React.RefObject<HTMLElement | null>, event: FoundEvent, stream: StreamKind | undefined): Still {
  const sight = useContext(InSight);
  const [seen, setSeen] = useState(false);
  const [still, setStill] = useState<Still>({ state: "waiting" });
  useEffect(() => (place.current ? sight.watch(place.current, setSeen) : undefined), [sight, place]);
  const { camera, time_us } = event;
  useEffect(() => {
    if (!seen || camera === null || stream === undefined) return;
    return stills.look({ camera, stream, at_us: time_us }, setStill);
  }, [seen, camera, stream, time_us]);
  return still;
}

/** One observer for all cards of a list. */
function useSight(list: React.RefObject<HTMLElement | null>): Sight {
  const [sight] = useState(() => {
    const told = new Map<Element, (now: boolean) => void>();
    let observer: IntersectionObserver | undefined;
    const watch = (card: Element, seen: (now: boolean) => void) => {
      // Half a card ahead, so that a slow scroll finds pictures ready.
      observer ??= new IntersectionObserver(
        (entries) => {
          for (const { target, isIntersecting } of entries) told.get(target)?.(isIntersecting);
        },
        { root: list.current?.parentElement ?? null, rootMargin: "80px 0px" },
      );
      told.set(card, seen);
      observer.observe(card);
      return () => {
        observer?.unobserve(card);
        told.delete(card);
      };
    };
    return { watch };
  });
  return sight;
}
