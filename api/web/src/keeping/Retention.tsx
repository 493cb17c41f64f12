/** How long footage is kept, whether the promise holds, and the day it would break. */
import { useQuery } from "@tanstack/react-query";
import { api, fetched, nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { useWords } from "../i18n";
import { calendarDay, clockTime, moment, span } from "../time";
import { NoticeBox } from "../ui/controls";
import { bytes } from "../ui/figures";
import type { Retention as RetentionAnswer, RetentionOfCamera, RetentionOfVolume, UtcMicros } from "../wire";
import styles from "./Keeping.module.css";
import { Tabs } from "./Tabs";

const EVERY_MS = 60_000;

export function Retention() {
  const words = useWords();
  const retention = fetched(
    useQuery<RetentionAnswer>({
      queryKey: ["retention"],
      queryFn: ({ signal }) => api.retention(signal),
      refetchInterval: EVERY_MS,
    }),
  );
  return (
    <div className={health.page}>
      <Tabs />
      <h1>{words("tab_retention")}</h1>
      {retention.state === "loading" && <p>{words("loading")}</p>}
      {retention.state === "failed" && <NoticeBox notice={retention.notice} />}
      {retention.state === "ready" && <Answer retention={retention.value} />}
    </div>
  );
}

function Answer({ retention }: { retention: RetentionAnswer }) {
  const words = useWords();
  const nowUs = nodeNowUs();
  const { sentence, remedy, frozen_us, breach_us } = retention;
  return (
    <>
      {sentence ? (
        <div data-breach={breach_us !== null}>
          <NoticeBox notice={{ status: 0, code: "retention", state: sentence, remedy: remedy ?? { zh: "", en: "" } }} />
        </div>
      ) : (
        <p className={health.well}>✓ {words("retention_well")}</p>
      )}
      {frozen_us !== null && (
        <p className={health.well} role="status">
          ⏸ {words("retention_frozen", { time: moment(frozen_us, nowUs) })}
        </p>
      )}
      <dl className={styles.facts}>
        {retention.classes.map((one) => (
          <div key={one.class}>
            <dt>{words(`retention_${one.class}`)}</dt>
            <dd>
              {words("retention_class", {
                n: one.cameras,
                least: one.achieved_s_min === null ? "—" : span(one.achieved_s_min * 1000),
              })}
            </dd>
          </div>
        ))}
        <div>
          <dt>{words("holds_quota")}</dt>
          <dd>
            {bytes(retention.held_bytes)} / {bytes(retention.quota_bytes)}
          </dd>
        </div>
        <div>
          <dt>{words("as_of", { time: clockTime(retention.as_of_us) })}</dt>
        </div>
      </dl>
      <section className={health.section}>
        <h2>{words("health_volumes")}</h2>
        <Volumes volumes={retention.volumes} />
      </section>
      <section className={health.section}>
        <h2>{words("health_cameras")}</h2>
        <Cameras cameras={[...retention.cameras].sort(brokenFirst)} />
      </section>
    </>
  );
}

const order = (kept: boolean | null) => (kept === false ? 0 : kept === null ? 1 : 2);
const brokenFirst = (a: RetentionOfCamera, b: RetentionOfCamera) =>
  order(a.kept) - order(b.kept) || a.achieved_s / a.term_s - b.achieved_s / b.term_s || a.camera - b.camera;

function Volumes({ volumes }: { volumes: readonly RetentionOfVolume[] }) {
  const words = useWords();
  const day = (us: UtcMicros | null) => (us === null ? "—" : calendarDay(us));
  return (
    <div className={health.scroll}>
      <table className={health.table}>
        <thead>
          <tr>
            <th>{words("column_volume")}</th>
            <th data-figure>{words("retention_used")}</th>
            <th data-figure>{words("column_total")}</th>
            <th data-figure>{words("retention_held")}</th>
            <th data-figure>{words("retention_rate")}</th>
            <th data-figure>{words("retention_full")}</th>
            <th data-figure>{words("retention_breach")}</th>
          </tr>
        </thead>
        <tbody>
          {volumes.map((volume) => (
            <tr key={volume.name}>
              <td>{volume.name}</td>
              <td data-figure>{bytes(volume.used_bytes)}</td>
              <td data-figure>{bytes(volume.capacity_bytes)}</td>
              <td data-figure>{bytes(volume.held_bytes)}</td>
              <td data-figure>{words("per_day", { amount: bytes(volume.rate_bytes_per_day) })}</td>
              <td data-figure>{day(volume.full_us)}</td>
              <td data-figure className={volume.breach_us === null ? undefined : health.bad}>
                {volume.breach_us !== null && "⊘ "}
                {day(volume.breach_us)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Cameras({ cameras }: { cameras: readonly RetentionOfCamera[] }) {
  const words = useWords();
  const nowUs = nodeNowUs();
  return (
    <div className={health.scroll}>
      <table className={health.table}>
        <thead>
          <tr>
            <th data-figure>{words("column_number")}</th>
            <th>{words("column_name")}</th>
            <th>{words("column_place")}</th>
            <th data-figure>{words("retention_term")}</th>
            <th data-figure>{words("retention_achieved")}</th>
            <th data-figure>{words("retention_oldest")}</th>
            <th data-figure>{words("retention_rate")}</th>
            <th>{words("column_state")}</th>
          </tr>
        </thead>
        <tbody>
          {cameras.map((camera) => (
            <tr key={camera.camera} data-camera={camera.camera}>
              <td data-figure>{camera.camera}</td>
              <td>{camera.name}</td>
              <td className={health.dim}>{camera.place.join(" / ")}</td>
              <td data-figure>{span(camera.term_s * 1000)}</td>
              <td data-figure>
                <span className={styles.term}>
                  <meter min={0} max={camera.term_s} value={camera.achieved_s} aria-label={words("retention_achieved")} />
                  {span(camera.achieved_s * 1000)}
                </span>
              </td>
              <td data-figure>{camera.oldest_us === null ? "—" : moment(camera.oldest_us, nowUs)}</td>
              <td data-figure>{words("per_day", { amount: bytes(camera.rate_bytes_per_day) })}</td>
              <td className={camera.kept === false ? health.bad : undefined}>
                {camera.kept === false && `⊘ ${words("retention_broken", { time: span(camera.lost_s * 1000) })}`}
                {camera.kept === null && words("retention_young")}
                {camera.kept === true && words("retention_kept")}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
