/** The footage of one found event, at the side: from five seconds before it, of the cheapest stream that has it. */
import { useEffect, useState } from "react";
import { nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { useWords } from "../i18n";
import { useMe } from "../session";
import { calendarDay, clockTime } from "../time";
import { Button } from "../ui/controls";
import type { FoundEvent, StreamKind } from "../wire";
import styles from "./Events.module.css";

/** From so long before the event, to so long after. */
const BEFORE_US = 5e6;
const AFTER_US = 15e6;
/** What was just now is stored a moment later; then it is asked for once more. */
const STORED_AFTER_MS = 4000;

export function Preview({
  event,
  stream,
  onOpen,
  onClose,
}: {
  event: FoundEvent;
  stream: StreamKind | undefined;
  onOpen(): void;
  onClose(): void;
}) {
  const words = useWords();
  const { me } = useMe();
  const day = calendarDay(event.time_us);
  return (
    <section className={styles.preview} aria-label={words("preview_label")}>
      <header>
        <strong>{words.of(event.kind_name)}</strong>
        <span>
          {day} {clockTime(event.time_us)}
        </span>
        <span className={styles.spring} />
        <Button look="quiet" aria-label={words("preview_close")} onPress={onClose}>
          ×
        </Button>
      </header>
      {event.camera === null ? (
        <p className={styles.screen}>{words("still_no_camera")}</p>
      ) : (
        stream && (
          <Footage key={event.id} camera={event.camera} atUs={event.time_us} cheap={stream} watermark={me?.person.name ?? ""} />
        )
      )}
      <p>
        {event.camera !== null && <b>{event.camera}</b>} {event.name}{" "}
        <span className={health.dim}>{event.place.join(" / ")}</span>
      </p>
      <p>{words.of(event.text)}</p>
      {event.source.topic && <p className={health.dim}>{event.source.topic}</p>}
      {event.camera !== null && (
        <Button look="primary" onPress={onOpen}>
          {words("keys_event_open")}
        </Button>
      )}
    </section>
  );
}

/** Up to when footage of the event can be there by now. */
const storedTo = (atUs: number) => Math.round(Math.min(atUs + AFTER_US, Math.max(atUs, nodeNowUs() - STORED_AFTER_MS * 500)));

function Footage({ camera, atUs, cheap, watermark }: { camera: number; atUs: number; cheap: StreamKind; watermark: string }) {
  const words = useWords();
  const [to, setTo] = useState(() => storedTo(atUs));
  const [failed, setFailed] = useState(0);
  const fresh = to <= atUs;
  useEffect(() => {
    if (!fresh) return;
    const timer = setTimeout(() => {
      setTo(Math.max(atUs + 1, storedTo(atUs)));
      setFailed(0);
    }, STORED_AFTER_MS);
    return () => clearTimeout(timer);
  }, [fresh, atUs]);
  const streams: StreamKind[] = cheap === "sub" ? ["sub", "main"] : ["main"];
  const stream = streams[failed];
  if (!stream) return <p className={styles.screen}>{words(fresh ? "loading" : "preview_nothing")}</p>;
  return (
    <div className={styles.screen}>
      <video
        key={`${stream}-${to}`}
        src={`/api/v1/footage/${camera}/${stream}.mp4?from_us=${Math.round(atUs - BEFORE_US)}&to_us=${to}`}
        autoPlay
        controls
        muted
        playsInline
        disablePictureInPicture
        aria-label={words("preview_video", { camera, time: clockTime(atUs) })}
        onError={() => setFailed((count) => count + 1)}
      />
      <span className={styles.watermark} data-watermark aria-hidden>
        {watermark}
      </span>
    </div>
  );
}
