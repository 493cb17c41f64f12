/** Health by exception: what is wrong, since when, what to do; then cameras, the broken ones first; then disks. */
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { api, fetched, nodeNowUs } from "../api";
import { type Key, useWords, type Words } from "../i18n";
import { Tabs } from "../keeping/Tabs";
import { clockTime, moment, span } from "../time";
import { Field, NoticeBox } from "../ui/controls";
import { bytes } from "../ui/figures";
import { stateWord } from "../wall/state";
import type { Camera, Health as HealthAnswer, Problem, StreamState, Volume } from "../wire";
import styles from "./Health.module.css";
import { byException, GLYPHS, severityOf, worstStream } from "./order";

const EVERY_MS = 3000;

export function Health() {
  const words = useWords();
  const health = fetched(
    useQuery<HealthAnswer>({ queryKey: ["health"], queryFn: ({ signal }) => api.health(signal), refetchInterval: EVERY_MS }),
  );
  if (health.state === "loading") return <p className={styles.message}>{words("loading")}</p>;
  if (health.state === "failed") {
    return (
      <div className={styles.message}>
        <NoticeBox notice={health.notice} />
      </div>
    );
  }
  const { cameras, problems, volumes, as_of_us } = health.value;
  return (
    <div className={styles.page}>
      <Tabs />
      <div className={styles.head}>
        <h1>{words("health_label")}</h1>
        <span className={styles.count}>{words("health_recording", cameras)}</span>
        <span className={styles.dim}>{words("as_of", { time: clockTime(as_of_us) })}</span>
      </div>
      <section className={styles.section} aria-label={words("health_problems")}>
        <h2>
          {words("health_problems")} {problems.length > 0 && problems.length}
        </h2>
        {problems.length === 0 ? (
          <p className={styles.well}>✓ {words("health_no_problems")}</p>
        ) : (
          <Problems problems={problems} />
        )}
      </section>
      <Cameras />
      <section className={styles.section}>
        <h2>{words("health_volumes")}</h2>
        <Volumes volumes={volumes} />
      </section>
    </div>
  );
}

function Problems({ problems }: { problems: readonly Problem[] }) {
  const words = useWords();
  return (
    <ul className={styles.problems}>
      {problems.map((problem) => {
        const severity = severityOf(problem.severity);
        return (
          <li key={`${problem.kind}-${problem.camera ?? ""}-${problem.since_us ?? ""}`} data-severity={severity}>
            <span className={styles.glyph} role="img" aria-label={words(`severity_${severity}`)}>
              {GLYPHS[severity]}
            </span>
            <strong>{words.of(problem.state)}</strong>
            <span className={styles.dim}>
              {problem.since_us != null && words("health_since", { time: moment(problem.since_us, nodeNowUs()) })}
            </span>
            <span className={styles.remedy}>{words("health_remedy", { remedy: words.of(problem.remedy) })}</span>
          </li>
        );
      })}
    </ul>
  );
}

const CODECS: Record<string, string> = { h264: "H.264", h265: "H.265" };

const STATE_KEYS: Record<string, Key> = {
  playing: "state_playing",
  connecting: "state_connecting",
  backing_off: "state_backing_off",
  paused: "state_paused",
  ended: "state_ended",
};

export const stateText = (words: Words, state: StreamState | undefined) => words(STATE_KEYS[stateWord(state)] ?? "state_unknown");

function Cameras() {
  const words = useWords();
  const { f = "" } = useSearch({ from: "/health" });
  const go = useNavigate({ from: "/health" });
  const query = useQuery({ queryKey: ["cameras"], queryFn: ({ signal }) => api.cameras(signal), refetchInterval: EVERY_MS });
  const list = fetched(query);
  return (
    <section className={styles.section} aria-label={words("health_cameras")}>
      <div className={styles.titleRow}>
        <h2>{words("health_cameras")}</h2>
        <div className={styles.filter}>
          <Field
            label={words("health_filter")}
            value={f}
            onChange={(text) => go({ search: text ? { f: text } : {}, replace: true })}
            name="filter"
          />
        </div>
      </div>
      {list.state === "failed" && <NoticeBox notice={list.notice} />}
      {list.state === "ready" && <CameraTable cameras={byException(list.value.cameras, f)} />}
    </section>
  );
}

function CameraTable({ cameras }: { cameras: readonly Camera[] }) {
  const words = useWords();
  const nowUs = nodeNowUs();
  return (
    <div className={styles.scroll}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th data-figure>{words("column_number")}</th>
            <th>{words("column_name")}</th>
            <th>{words("column_place")}</th>
            <th>{words("column_state")}</th>
            <th>{words("column_codec")}</th>
            <th data-figure>{words("column_picture")}</th>
            <th data-figure>{words("column_rate")}</th>
            <th data-figure>{words("column_last")}</th>
            <th data-figure>{words("column_recorded")}</th>
          </tr>
        </thead>
        <tbody>
          {cameras.map((camera) => {
            const worst = worstStream(camera);
            const main = camera.streams.find((stream) => stream.kind === "main") ?? worst;
            const well = stateWord(worst?.state) === "playing";
            return (
              <tr key={camera.id} data-camera={camera.id}>
                <td data-figure>{camera.id}</td>
                <td>{camera.name}</td>
                <td className={styles.dim}>{camera.place.join(" / ")}</td>
                <td className={well ? undefined : styles.bad}>
                  {well ? "" : "⊘ "}
                  {stateText(words, worst?.state)}
                  {worst?.state.sentence && ` · ${words.of(worst.state.sentence)}`}
                </td>
                <td>{CODECS[main?.codec ?? ""] ?? main?.codec ?? "—"}</td>
                <td data-figure>{main?.width ? `${main.width}×${main.height} · ${Math.round(main.fps ?? 0)}` : "—"}</td>
                <td data-figure>{main?.kbit_s ? `${(main.kbit_s / 1000).toFixed(1)} Mb/s` : "—"}</td>
                <td data-figure>{main?.last_unit_us ? span((nowUs - main.last_unit_us) / 1000) : "—"}</td>
                <td data-figure>{main?.recorded_to_us ? moment(main.recorded_to_us, nowUs) : "—"}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

const VOLUME_KEYS: Record<string, Key> = {
  ok: "volume_ok",
  suspect: "volume_suspect",
  draining: "volume_draining",
  failed: "volume_failed",
};

function Volumes({ volumes }: { volumes: readonly Volume[] }) {
  const words = useWords();
  return (
    <div className={styles.scroll}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th>{words("column_volume")}</th>
            <th>{words("column_state")}</th>
            <th data-figure>{words("column_free")}</th>
            <th data-figure>{words("column_total")}</th>
            <th data-figure>{words("column_commit")}</th>
            <th>{words("column_detail")}</th>
          </tr>
        </thead>
        <tbody>
          {volumes.map((volume) => {
            const key = VOLUME_KEYS[volume.state];
            return (
              <tr key={volume.name}>
                <td>
                  {volume.name} <span className={styles.dim}>{volume.path}</span>
                </td>
                <td className={volume.state === "ok" ? undefined : styles.bad}>
                  {volume.state === "ok" ? "" : "⊘ "}
                  {key ? words(key) : volume.state}
                </td>
                <td data-figure>{bytes(volume.free_bytes)}</td>
                <td data-figure>{bytes(volume.total_bytes)}</td>
                <td data-figure>{volume.commit_ms_p99.toFixed(0)} ms</td>
                <td className={styles.wrap}>
                  {volume.sentence && words.of(volume.sentence)} {volume.remedy && words.of(volume.remedy)}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
