/** Found events, newest first: a list with one selection that keys and pointer share. */
import { useEffect, useRef } from "react";
import { nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { GLYPHS, type Severity } from "../health/order";
import { useWords } from "../i18n";
import { calendarDay, clockTime } from "../time";
import { Button } from "../ui/controls";
import type { EventSeverity, FoundEvent } from "../wire";
import styles from "./Events.module.css";

export const SEVERITY: Record<EventSeverity, Severity> = { alarm: "urgent", warning: "high", notice: "medium", info: "info" };

export function Results({
  events,
  at,
  playing,
  stale,
  onSelect,
  onPlay,
  onOpen,
  more,
}: {
  events: readonly FoundEvent[];
  at: number;
  /** The event that the player shows. */
  playing: string | undefined;
  stale: boolean;
  onSelect(index: number): void;
  onPlay(event: FoundEvent): unknown;
  onOpen(event: FoundEvent): unknown;
  more: (() => void) | undefined;
}) {
  const words = useWords();
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.querySelector(`[data-index="${at}"]`)?.scrollIntoView({ block: "nearest" });
  }, [at]);
  const today = calendarDay(nodeNowUs());
  return (
    <div className={styles.results} data-stale={stale} data-view="table">
      <ul ref={list} aria-label={words("events_results")}>
        {events.map((event, index) => {
          const severity = SEVERITY[event.severity] ?? "high";
          const day = calendarDay(event.time_us);
          return (
            <li key={event.id}>
              <button
                type="button"
                className={styles.event}
                data-event={event.id}
                data-index={index}
                data-severity={severity}
                data-playing={event.id === playing}
                aria-current={index === at}
                tabIndex={index === at ? 0 : -1}
                onFocus={() => onSelect(index)}
                onClick={() => {
                  onSelect(index);
                  onPlay(event);
                }}
                onDoubleClick={() => onOpen(event)}
              >
                <span className={styles.glyph} role="img" aria-label={words(`severity_${severity}`)}>
                  {GLYPHS[severity]}
                </span>
                <time dateTime={new Date(event.time_us / 1000).toISOString()}>
                  {day !== today && <span className={health.dim}>{day.slice(5)} </span>}
                  {clockTime(event.time_us)}
                </time>
                <span className={styles.camera}>
                  {event.camera !== null && <b>{event.camera}</b>} {event.name}
                  <span className={health.dim}> {event.place.join(" / ")}</span>
                </span>
                <strong>{words.of(event.kind_name)}</strong>
                <span className={styles.text}>
                  {words.of(event.text)}
                  {event.objects.length > 0 && (
                    <span className={health.dim}>
                      {" "}
                      {event.objects.map((one) => `${words(`class_${one.class}`)}×${one.count}`).join(" ")}
                    </span>
                  )}
                </span>
              </button>
            </li>
          );
        })}
      </ul>
      {more && (
        <div className={styles.more}>
          <Button onPress={more}>{words("events_more")}</Button>
        </div>
      )}
    </div>
  );
}
