/** One camera of a playback: its video, the key-unit canvas over it, and words where there is no picture. */
import { useEffect, useRef } from "react";
import { Button as AriaButton } from "react-aria-components";
import { nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { moment } from "../time";
import type { Coverage, UtcMicros } from "../wire";
import type { Playable } from "./choice";
import { stateAt } from "./coverage";
import type { CameraPicture, Engine } from "./engine";
import styles from "./Playback.module.css";

export function Screen({
  engine,
  camera,
  coverage,
  watermark,
  onRemove,
}: {
  engine: Engine;
  camera: Playable;
  coverage: Coverage | undefined;
  watermark: string;
  onRemove(): void;
}) {
  const words = useWords();
  const video = useRef<HTMLVideoElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const picture = engine.use((state) => state.pictures.get(camera.id));
  const us = engine.use((state) => state.us);
  useEffect(() => {
    if (video.current && canvas.current) return engine.attach(camera.id, video.current, canvas.current);
  }, [engine, camera.id]);

  const row = coverage?.rows.find((one) => one.camera === camera.id);
  const plate = usePlate(picture, row, us, coverage);
  return (
    <li
      className={styles.screen}
      data-camera={camera.id}
      data-shows={plate ? "nothing" : picture?.onTop}
      data-player={picture?.player}
    >
      <video ref={video} muted playsInline disablePictureInPicture />
      <canvas ref={canvas} data-top={picture?.onTop === "keys"} />
      {plate && <div className={styles.plate}>{plate}</div>}
      <span className={styles.watermark} data-watermark aria-hidden>
        {watermark}
      </span>
      <span className={styles.name}>
        <b>{camera.id}</b> {camera.name}
        {camera.removedUs !== undefined && ` · ${words("camera_removed", { time: moment(camera.removedUs, nodeNowUs()) })}`}
      </span>
      {picture?.onTop === "keys" && !plate && <span className={styles.mode}>K {words("playback_key_mode")}</span>}
      <AriaButton
        className={styles.remove ?? ""}
        aria-label={words("playback_remove", { number: camera.id, name: camera.name })}
        onPress={onRemove}
      >
        ×
      </AriaButton>
    </li>
  );
}

/** Why there is no picture now; undefined while there is one. */
function usePlate(
  picture: CameraPicture | undefined,
  row: Coverage["rows"][number] | undefined,
  us: UtcMicros,
  coverage: Coverage | undefined,
) {
  const words = useWords();
  const nowUs = nodeNowUs();
  if (!picture) return words("playback_loading");
  const state = stateAt(row, us);
  // The key unit before a gap is found from inside it, too; it is not what was on then.
  const inGap = state.is === "gap" && state.gap.share === 0;
  const absent = picture.onTop === "keys" ? picture.keys === "none" || inGap : picture.player === "missing";
  if (absent || (state.is === "gap" && picture.player !== "showing" && picture.onTop === "video")) {
    if (us > nowUs - 5e6) return words("playback_future");
    if (state.is !== "gap") return words("playback_gap_unknown");
    const { fromUs, toUs, code, detail } = state.gap;
    const cause = coverage?.causes[code];
    return (
      <>
        <big aria-hidden>▨</big>
        <strong>{words("playback_gap", { from: moment(fromUs, nowUs), to: moment(toUs, nowUs) })}</strong>
        {cause && <span>{words.of(cause)}</span>}
        {detail && <span>{detail}</span>}
      </>
    );
  }
  if (picture.onTop === "keys") return undefined;
  if (picture.player === "codec") return words("playback_codec", { codec: picture.codec });
  if (picture.player === "loading") return words("playback_loading");
  return undefined;
}
