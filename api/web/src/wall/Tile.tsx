/** One tile's words over the shared canvas: number and name below left, state above right, why there is no picture in the middle. */
import type { CSSProperties } from "react";
import { nodeNowUs } from "../api";
import { useWords, type Words } from "../i18n";
import { pageNowMs } from "../media/client";
import { moment, span } from "../time";
import type { Camera } from "../wire";
import type { Place } from "./layout";
import type { TileState } from "./state";
import styles from "./Wall.module.css";

export type TileProps = {
  camera: Camera | undefined;
  state: TileState;
  place: Place;
  spot?: boolean;
  current: boolean;
  tabbable: boolean;
  watermark?: string;
  onSelect(): void;
  onOpen(): void;
  register(element: HTMLButtonElement | null): void;
};

const percent = (fraction: number) => `${(fraction * 100).toFixed(4)}%`;

export const placeStyle = ({ x, y, width, height }: Place): CSSProperties => ({
  left: percent(x),
  top: percent(y),
  width: percent(width),
  height: percent(height),
});

/** The state in a few words, for the corner plate and for screen readers. */
export function stateText(words: Words, state: TileState): string {
  switch (state.is) {
    case "live":
      return words("tile_live", { fps: state.fps });
    case "key":
      return words("tile_key");
    case "stale":
      return words("tile_stale", { span: span(state.ageMs) });
    case "offline":
    case "paused": {
      const since = state.is === "offline" ? state.sinceUs : state.state.since_us;
      return words(state.is === "offline" ? "tile_offline" : "tile_paused", { time: since ? moment(since, nodeNowUs()) : "—" });
    }
    case "refused":
      return words("tile_refused");
    case "codec":
      return words("tile_codec", { codec: state.codec });
    case "line":
      if (state.word === "waiting") return words("tile_line_waiting");
      return words("tile_line_lost", { time: state.sinceUs ? moment(state.sinceUs, nodeNowUs()) : "—" });
    case "disconnected":
      return words("tile_disconnected");
    case "waiting":
      return words("tile_connecting", { span: span(pageNowMs() - state.sinceMs) });
    case "empty":
      return words("wall_empty_tile");
  }
}

function mark(words: Words, state: TileState): string | undefined {
  switch (state.is) {
    case "live":
      return `● ${state.fps}`;
    case "key":
      return "K";
    case "stale":
      return `▨ ${stateText(words, state)}`;
    case "offline":
    case "line":
      return "⊘";
    case "paused":
      return "⏸";
    default:
      return undefined;
  }
}

export function Tile({
  camera,
  state,
  place,
  spot = false,
  current,
  tabbable,
  watermark,
  onSelect,
  onOpen,
  register,
}: TileProps) {
  const words = useWords();
  const corner = mark(words, state);
  return (
    <li style={placeStyle(place)} className={spot ? styles.spot : undefined}>
      <button
        type="button"
        ref={register}
        className={styles.tile}
        data-state={state.is}
        data-camera={camera?.id}
        data-spot={spot}
        aria-current={current}
        tabIndex={tabbable ? 0 : -1}
        onFocus={onSelect}
        onClick={onOpen}
      >
        <span className={styles.kept} />
        {spot && <span className="unseen">{words("wall_spot")}</span>}
        {camera && (
          <span className={styles.name}>
            <b>{camera.id}</b> {camera.name}
          </span>
        )}
        <Middle state={state} spot={spot} />
        {watermark && (
          <span className={styles.watermark} data-watermark aria-hidden>
            {watermark}
          </span>
        )}
        {corner && (
          <span className={styles.mark} aria-hidden>
            {corner}
          </span>
        )}
      </button>
    </li>
  );
}

function Middle({ state, spot }: { state: TileState; spot: boolean }) {
  const words = useWords();
  switch (state.is) {
    case "live":
    case "key":
    case "stale":
      // The corner's sign, in words for who hears the page.
      return <span className="unseen">{stateText(words, state)}</span>;
    case "offline":
    case "paused":
      return (
        <span className={styles.words}>
          <big aria-hidden>{state.is === "offline" ? "⊘" : "⏸"}</big>
          <strong>{stateText(words, state)}</strong>
          {state.state.sentence && <span>{words.of(state.state.sentence)}</span>}
          {spot && state.state.remedy && <span>{words.of(state.state.remedy)}</span>}
        </span>
      );
    case "line":
      return (
        <span className={styles.words}>
          <big aria-hidden>⊘</big>
          <strong>{stateText(words, state)}</strong>
        </span>
      );
    case "refused":
      return (
        <span className={styles.words}>
          <strong>{stateText(words, state)}</strong>
          <span>{words.of(state.sentence)}</span>
        </span>
      );
    case "empty":
      return spot ? (
        <span className={styles.words}>{words("wall_spot_empty")}</span>
      ) : (
        <span className="unseen">{stateText(words, state)}</span>
      );
    default:
      return <span className={styles.words}>{stateText(words, state)}</span>;
  }
}
