/** What found events have in common however they are shown: the list with one selection that keys and pointer share, and its words. */
import { type ReactNode, type RefObject, useEffect } from "react";
import { nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { GLYPHS, type Severity } from "../health/order";
import { useWords } from "../i18n";
import { calendarDay, clockTime } from "../time";
import { Button } from "../ui/controls";
import type { EventSeverity, FoundEvent } from "../wire";
import styles from "./Events.module.css";

const SEVERITY: Record<EventSeverity, Severity> = { alarm: "urgent", warning: "high", notice: "medium", info: "info" };

export function severityOf(event: FoundEvent): Severity {
  return SEVERITY[event.severity] ?? "high";
}

/** Found events and what can be done with them. */
export interface Listing {
  events: readonly FoundEvent[];
  /** The selected one. */
  at: number;
  /** The event that the player shows. */
  playing: string | undefined;
  /** Those chosen to be exported together. */
  chosen: ReadonlySet<string>;
  stale: boolean;
  onSelect(index: number): void;
  onPlay(event: FoundEvent): unknown;
  onOpen(event: FoundEvent): unknown;
  more: (() => void) | undefined;
}

/** The frame around the list: keeps the selected event in sight, and asks for more at its end. */
export function Frame({
  view,
  list,
  listing: { at, stale, more },
  children,
}: {
  view: "grid" | "table";
  list: RefObject<HTMLUListElement | null>;
  listing: Listing;
  children: ReactNode;
}) {
  const words = useWords();
  useEffect(() => {
    list.current?.querySelector(`[data-index="${at}"]`)?.scrollIntoView({ block: "nearest" });
  }, [list, at]);
  return (
    <div className={styles.results} data-stale={stale} data-view={view}>
      {children}
      {more && (
        <div className={styles.more}>
          <Button onPress={more}>{words("events_more")}</Button>
        </div>
      )}
    </div>
  );
}

/** What makes a button one event of the list: chosen by focus, played by a press, opened by two. */
export function choice({ events, at, playing, chosen, onSelect, onPlay, onOpen }: Listing, index: number) {
  const event = events[index] as FoundEvent;
  return {
    type: "button" as const,
    "data-event": event.id,
    "data-index": index,
    "data-severity": severityOf(event),
    "data-playing": event.id === playing,
    "data-chosen": chosen.has(event.id),
    "aria-current": index === at,
    tabIndex: index === at ? 0 : -1,
    onFocus: () => onSelect(index),
    onClick: () => {
      onSelect(index);
      onPlay(event);
    },
    onDoubleClick: () => onOpen(event),
  };
}

/** That it is chosen, where it is. */
export function Mark({ of: event, listing: { chosen } }: { of: FoundEvent; listing: Listing }) {
  const words = useWords();
  return (
    chosen.has(event.id) && (
      <span className={styles.mark} role="img" aria-label={words("events_chosen_one")}>
        ✓
      </span>
    )
  );
}

export function Glyph({ of: event }: { of: FoundEvent }) {
  const words = useWords();
  const severity = severityOf(event);
  return (
    <span className={styles.glyph} role="img" aria-label={words(`severity_${severity}`)}>
      {GLYPHS[severity]}
    </span>
  );
}

export function When({ of: event }: { of: FoundEvent }) {
  const day = calendarDay(event.time_us);
  return (
    <time dateTime={new Date(event.time_us / 1000).toISOString()}>
      {day !== calendarDay(nodeNowUs()) && <span className={health.dim}>{day.slice(5)} </span>}
      {clockTime(event.time_us)}
    </time>
  );
}

export function Where({ of: event }: { of: FoundEvent }) {
  return (
    <span className={styles.camera}>
      {event.camera !== null && <b>{event.camera}</b>} {event.name}
      <span className={health.dim}> {event.place.join(" / ")}</span>
    </span>
  );
}

export function What({ of: event }: { of: FoundEvent }) {
  const words = useWords();
  return (
    <span className={styles.text}>
      {words.of(event.text)}
      {event.objects.length > 0 && (
        <span className={health.dim}> {event.objects.map((one) => `${words(`class_${one.class}`)}×${one.count}`).join(" ")}</span>
      )}
    </span>
  );
}
