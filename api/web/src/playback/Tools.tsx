/** Playback's controls: cameras, transport, time, speed, marks, export. */
import { type FormEvent, useState } from "react";
import { Form } from "react-aria-components";
import { nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { calendarDay, clockTime, preciseTime, typedTime } from "../time";
import { Button, Choice, Field } from "../ui/controls";
import type { StreamKind, UtcMicros } from "../wire";
import { MOST_CAMERAS } from "./address";
import type { Playable } from "./choice";
import { type Engine, RATES, type Rate } from "./engine";
import styles from "./Playback.module.css";

export type ToolsProps = {
  all: readonly Playable[];
  chosen: readonly Playable[];
  engine: Engine;
  stream: StreamKind;
  inUs: UtcMicros | undefined;
  outUs: UtcMicros | undefined;
  onSeek(us: UtcMicros): void;
  onMark(name: "i" | "o", us: UtcMicros): void;
  onStream(stream: StreamKind): void;
  onAdd(id: number): void;
  onExport(): void;
  onRegion(): void;
  searching: boolean;
};

export function Tools({
  all,
  chosen,
  engine,
  stream,
  inUs,
  outUs,
  onSeek,
  onMark,
  onStream,
  onAdd,
  onExport,
  onRegion,
  searching,
}: ToolsProps) {
  const words = useWords();
  const { us, playing, rate } = engine.use();
  return (
    <div className={styles.tools}>
      <span className={styles.transport}>
        <Button onPress={() => onSeek(us - 5e6)}>
          <span className="unseen">{words("playback_back")}</span> −5 s
        </Button>
        <Button look="primary" onPress={() => engine.play(!playing)}>
          {playing ? `❚❚ ${words("playback_pause")}` : `▶ ${words("playback_play")}`}
        </Button>
        <Button onPress={() => onSeek(us + 5e6)}>
          <span className="unseen">{words("playback_forward")}</span> +5 s
        </Button>
      </span>
      <Choice
        label={words("playback_rate")}
        value={String(rate)}
        options={RATES.map((value) => ({ value: String(value), text: `${value}×` }))}
        onChange={(value) => engine.setRate(Number(value) as Rate)}
      />
      <time className={styles.time} dateTime={new Date(us / 1000).toISOString()}>
        {preciseTime(us).slice(0, 21)}
      </time>
      <TypedTime onSeek={onSeek} />
      <Button look="quiet" onPress={() => onSeek(nodeNowUs() - 10e6)}>
        {words("playback_live_edge")}
      </Button>
      <span className={styles.spring} />
      <Choice<StreamKind>
        label={words("wall_stream")}
        value={stream}
        options={[
          { value: "sub", text: words("stream_sub") },
          { value: "main", text: words("stream_main") },
        ]}
        onChange={onStream}
      />
      <Button onPress={() => onMark("i", us)}>
        [ {words("playback_in")}
        {inUs !== undefined && ` ${clockTime(inUs)}`}
      </Button>
      <Button onPress={() => onMark("o", us)}>
        {words("playback_out")}
        {outUs !== undefined && ` ${clockTime(outUs)}`} ]
      </Button>
      <Button onPress={onExport}>{words("playback_export")}</Button>
      <Button onPress={onRegion} aria-expanded={searching}>
        {words("region_title")}
      </Button>
      <AddCamera all={all} chosen={chosen} onAdd={onAdd} />
    </div>
  );
}

/** "1404" and Enter goes to 14:04. */
function TypedTime({ onSeek }: { onSeek(us: UtcMicros): void }) {
  const words = useWords();
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const us = typedTime(text, nodeNowUs());
    setWrong(us === undefined);
    if (us === undefined) return;
    onSeek(us);
    setText("");
  };
  return (
    <Form onSubmit={submit} className={styles.inline ?? ""}>
      <Field
        label={words("playback_time")}
        value={text}
        onChange={setText}
        name="time"
        placeholder={words("playback_time_hint")}
        invalid={wrong}
        autoComplete="off"
      />
      {wrong && (
        <span className={styles.wrong} role="alert">
          {words("playback_time_wrong")}
        </span>
      )}
    </Form>
  );
}

/** A camera by its number, typed; the list proposes. */
export function AddCamera({
  all,
  chosen,
  onAdd,
}: {
  all: readonly Playable[];
  chosen: readonly Playable[];
  onAdd(id: number): void;
}) {
  const words = useWords();
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState(false);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const wanted = text.trim().split(/\s/)[0];
    const camera = all.find((one) => String(one.id) === wanted) ?? all.find((one) => one.name === text.trim());
    setWrong(camera === undefined);
    if (!camera) return;
    onAdd(camera.id);
    setText("");
  };
  if (chosen.length >= MOST_CAMERAS) return <span className={styles.dim}>{words("playback_full")}</span>;
  return (
    <Form onSubmit={submit} className={styles.inline ?? ""}>
      <Field
        label={words("playback_add")}
        value={text}
        onChange={setText}
        name="camera"
        placeholder={words("playback_add")}
        invalid={wrong}
        autoComplete="off"
        list="camera-numbers"
      />
      <datalist id="camera-numbers">
        {all
          .filter((camera) => !chosen.includes(camera))
          .map((camera) => (
            <option key={camera.id} value={`${camera.id} ${camera.name}`}>
              {camera.removedUs !== undefined && words("camera_removed", { time: calendarDay(camera.removedUs) })}
            </option>
          ))}
      </datalist>
      <Button type="submit">{words("playback_add_act")}</Button>
    </Form>
  );
}
