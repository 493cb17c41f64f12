/**
 * The alarms that wait for somebody, below whatever page is open: what, where, since when, ten seconds of the footage around it
 * playing already, and one key that takes it on. Nothing waits: nothing is shown.
 */
import { useRouter } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { api, type Notice, nodeNowUs } from "../api";
import { listen } from "../events/feed";
import { GLYPHS } from "../health/order";
import { useWords } from "../i18n";
import { useSettings } from "../settings";
import { clockTime, span } from "../time";
import { Button } from "../ui/controls";
import { useKeyTable } from "../ui/keys";
import type { Alarm } from "../wire";
import styles from "./Dock.module.css";
import { merged, nextOf, shownOf, toneFor, waiting } from "./list";
import { ring } from "./sound";

/** The loop: from so long before the event, to so long after. */
const BEFORE_US = 9e6;
const AFTER_US = 1e6;
/** By then what follows the event is stored too, and the loop is asked for once more. */
const WHOLE_AFTER_MS = 4000;
/** An urgent alarm that nobody takes on rings again. */
const RING_EVERY_MS = 10_000;
/** Playback opens this much before the event. */
const LEAD_S = 5;
const ROWS = 6;

export function Dock() {
  const words = useWords();
  const router = useRouter();
  const sound = useSettings((settings) => settings.sound);
  const setSound = useSettings((settings) => settings.setSound);
  const [alarms, setAlarms] = useState<ReadonlyMap<string, Alarm>>(() => new Map());
  const [chosen, setChosen] = useState<string>();
  const [notice, setNotice] = useState<Notice>();
  const known = useRef(alarms);
  const loud = useRef(sound);
  loud.current = sound;
  useEffect(
    () =>
      listen({
        alarms(told, all) {
          const tone = toneFor(known.current, told, all);
          known.current = merged(known.current, told, all);
          setAlarms(known.current);
          if (tone && loud.current) ring(tone);
        },
      }),
    [],
  );
  const open = waiting(alarms);
  const shown = shownOf(open, chosen);
  const urgent = open.some((alarm) => alarm.urgency === "urgent");
  useEffect(() => {
    if (!urgent || !sound) return;
    const timer = setInterval(() => ring("urgent"), RING_EVERY_MS);
    return () => clearInterval(timer);
  }, [urgent, sound]);

  const acknowledge = async (alarm: Alarm | undefined) => {
    if (!alarm) return false;
    const done = await api.acknowledge(alarm.id);
    // Whoever was first is told by the feed; that it is done is all that matters.
    setNotice(done.state === "failed" && done.notice.code !== "acknowledged" ? done.notice : undefined);
  };
  const play = (alarm: Alarm | undefined) => {
    if (!alarm || alarm.camera === null) return false;
    router.navigate({ to: "/playback", search: { c: String(alarm.camera), t: alarm.at_us / 1e6 - LEAD_S, z: 120 } });
  };
  /** Where incidents are worked on, their keys are theirs. */
  const elsewhere = () => !router.state.location.pathname.startsWith("/incidents");
  useKeyTable("alarms", {
    acknowledge: () => (shown && elsewhere() ? void acknowledge(shown) : false),
    next: () => (shown && elsewhere() ? setChosen(nextOf(open, shown)) : false),
    play: () => play(shown),
  });
  if (!shown) return null;
  return (
    <aside className={styles.dock} aria-label={words("alarms_label")} data-urgency={open[0]?.urgency}>
      {shown.camera !== null && <Loop key={shown.id} alarm={shown} />}
      <div className={styles.list}>
        <p className={styles.head} role={urgent ? "alert" : "status"}>
          <strong>{words("alarms_waiting", { count: open.length })}</strong>
          {notice && <span className={styles.failed}>{words.of(notice.state)}</span>}
          <span className={styles.spring} />
          <Button look="quiet" onPress={() => setSound(!sound)} aria-pressed={sound}>
            {words(sound ? "alarms_sound_on" : "alarms_sound_off")}
          </Button>
        </p>
        <ul>
          {open.slice(0, ROWS).map((alarm) => (
            <li key={alarm.id} data-alarm={alarm.id} data-at-us={alarm.at_us} data-urgency={alarm.urgency}>
              <button
                type="button"
                className={styles.alarm}
                aria-current={alarm.id === shown.id}
                onClick={() => setChosen(alarm.id)}
                onDoubleClick={() => play(alarm)}
              >
                <span className={styles.glyph} role="img" aria-label={words(`severity_${alarm.urgency}`)}>
                  {GLYPHS[alarm.urgency]}
                </span>
                <time dateTime={new Date(alarm.at_us / 1000).toISOString()}>{clockTime(alarm.at_us)}</time>
                <strong>{words.of(alarm.kind_name)}</strong>
                <span>
                  {alarm.camera !== null && <b>{alarm.camera}</b>} {alarm.name}
                </span>
                <span className={styles.dim}>
                  {alarm.rule_name}
                  {alarm.repeats > 0 && ` ×${alarm.repeats + 1}`}
                </span>
                <Age since={alarm.raised_us} />
              </button>
              <Button onPress={() => acknowledge(alarm)} aria-label={`${words("alarms_acknowledge")} ${alarm.name}`}>
                {words("alarms_acknowledge")}
                {alarm.id === shown.id && <kbd> A</kbd>}
              </Button>
            </li>
          ))}
        </ul>
        {open.length > ROWS && <p className={styles.dim}>{words("alarms_more", { count: open.length - ROWS })}</p>}
      </div>
    </aside>
  );
}

function Age({ since }: { since: number }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return <span className={styles.dim}>{span(Math.max(0, (nodeNowUs() - since) / 1000))}</span>;
}

/** Ten seconds around the event, over and over: of the sub-stream, or of the main one where there is none. */
function Loop({ alarm }: { alarm: Alarm }) {
  const words = useWords();
  const [whole, setWhole] = useState(() => nodeNowUs() - alarm.at_us > WHOLE_AFTER_MS * 1000);
  const [failed, setFailed] = useState(0);
  useEffect(() => {
    const wait = Math.max(0, WHOLE_AFTER_MS - (nodeNowUs() - alarm.at_us) / 1000);
    const timer = setTimeout(() => {
      setWhole(true);
      setFailed(0);
    }, wait);
    return () => clearTimeout(timer);
  }, [alarm.at_us]);
  const stream = failed === 0 ? "sub" : "main";
  const from = alarm.at_us - BEFORE_US;
  const to = alarm.at_us + (whole ? AFTER_US : 0);
  return (
    <figure className={styles.loop}>
      {failed < 2 ? (
        <video
          key={`${stream}-${whole}`}
          src={`/api/v1/footage/${alarm.camera}/${stream}.mp4?from_us=${from}&to_us=${to}`}
          autoPlay
          loop
          muted
          playsInline
          aria-label={words("alarms_loop", { camera: alarm.camera ?? 0 })}
          onError={() => setFailed((count) => count + 1)}
        />
      ) : (
        <figcaption className={styles.dim}>{words("alarms_no_loop")}</figcaption>
      )}
    </figure>
  );
}
