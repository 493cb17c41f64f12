/** Why a camera or place lacks footage on a day: causes with their time, and the way to the longest gap. */
import { useQuery } from "@tanstack/react-query";
import { Link, useSearch } from "@tanstack/react-router";
import { api, fetched, nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { useWords } from "../i18n";
import { gapsIn } from "../playback/coverage";
import { mayWatch, useMe } from "../session";
import { moment, span } from "../time";
import { NoticeBox } from "../ui/controls";
import controls from "../ui/controls.module.css";
import type { Coverage, Ledger, LedgerRow } from "../wire";
import styles from "./Keeping.module.css";
import { causesOf, type Line, percent } from "./matrix";

const LONGEST_SHOWN = 8;

export function Causes({ ledger, line, row }: { ledger: Ledger; line: Line; row: LedgerRow }) {
  const words = useWords();
  const causes = causesOf(row.gaps);
  return (
    <section className={styles.causes} aria-label={words("ledger_causes")}>
      <h2>
        {line.camera} {line.name} · {row.day} · {percent(row.completeness)} %
      </h2>
      <p className={health.dim}>
        {words("ledger_sums", {
          expected: span(row.expected_s * 1000),
          recorded: span(row.recorded_s * 1000),
          missing: span(row.missing_s * 1000),
        })}
        {row.units_lost > 0 && ` · ${words("ledger_units_lost", { n: row.units_lost })}`}
      </p>
      {causes.length === 0 ? (
        <p>✓ {words("ledger_no_gaps")}</p>
      ) : (
        <ul className={styles.bars}>
          {causes.map(([cause, seconds]) => {
            const sentence = ledger.causes[cause];
            return (
              <li key={cause}>
                <span>{sentence ? words.of(sentence) : cause}</span>
                <meter min={0} max={row.window_s * Math.max(1, row.cameras)} value={seconds} aria-label={cause} />
                <span className={styles.figure}>{span(seconds * 1000)}</span>
              </li>
            );
          })}
        </ul>
      )}
      {line.camera === undefined ? (
        <Link
          from="/health/ledger"
          to="/health/ledger"
          search={(old) => ({ ...old, by: "camera", p: line.key, k: undefined })}
          className={controls.button ?? ""}
        >
          {words("ledger_cameras_here")}
        </Link>
      ) : (
        row.missing_s > 0 && <Longest camera={line.camera} row={row} />
      )}
    </section>
  );
}

function Longest({ camera, row }: { camera: number; row: LedgerRow }) {
  const words = useWords();
  const { me } = useMe();
  const { q: stream = "main" } = useSearch({ from: "/health/ledger" });
  const nowUs = nodeNowUs();
  const [fromUs, toUs] = [row.from_us ?? nowUs, Math.min(row.to_us ?? nowUs, nowUs)];
  const coverage = fetched(
    useQuery<Coverage>({
      queryKey: ["coverage", [camera], stream, fromUs, row.day],
      queryFn: ({ signal }) =>
        api.coverage({ cameras: [camera], stream, from_us: fromUs, to_us: Math.floor(toUs), px: 4000 }, signal),
    }),
  );
  if (coverage.state === "loading") return <p className={health.dim}>{words("loading")}</p>;
  if (coverage.state === "failed") return <NoticeBox notice={coverage.notice} />;
  const gaps = gapsIn(coverage.value.rows, fromUs, toUs)
    .sort((a, b) => b.toUs - b.fromUs - (a.toUs - a.fromUs))
    .slice(0, LONGEST_SHOWN);
  return (
    <>
      <h3>{words("ledger_longest")}</h3>
      <ul className={styles.gapList}>
        {gaps.map((gap, index) => {
          const cause = coverage.value.causes[gap.code];
          const text = (
            <>
              {index === 0 && "▸ "}
              {moment(gap.fromUs, nowUs)} – {moment(gap.toUs, nowUs).slice(-8)} · {span((gap.toUs - gap.fromUs) / 1000)}
            </>
          );
          return (
            <li key={gap.fromUs}>
              {me && mayWatch(me) ? (
                <Link
                  to="/playback"
                  search={{
                    c: String(camera),
                    t: Math.floor(gap.fromUs / 1e6) - 2,
                    z: viewFor(gap.toUs - gap.fromUs),
                    q: stream,
                  }}
                >
                  {text}
                </Link>
              ) : (
                text
              )}{" "}
              <span className={health.dim}>{cause && words.of(cause)}</span>
            </li>
          );
        })}
      </ul>
    </>
  );
}

/** The gap takes up a third of the timeline, and never less than a minute is shown. */
const viewFor = (us: number) => Math.max(60, Math.round((us / 1e6) * 3));
