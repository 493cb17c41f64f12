/** What an answer covers: it never looks whole when it is not. */
import { nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { useWords, type Words } from "../i18n";
import { calendarDay, moment, span } from "../time";
import type { EventCoverage, EventSource, UtcMicros } from "../wire";
import styles from "./Events.module.css";

/** An index this far behind is said in figures; less is the time it takes to write. */
const BEHIND_S = 2;

/** What keeps the answer from covering a node up to now. */
function said(source: EventSource, words: Words, nowUs: UtcMicros): string {
  const node = source.name ?? source.node;
  if (source.state === "missing" && source.reason) {
    const why = words.of(source.reason.state);
    const covered = source.covered_to_us;
    return covered
      ? words("coverage_missing", { node, why, time: moment(covered, nowUs) })
      : words("coverage_missing_all", { node, why });
  }
  return words(source.state === "failed" ? "coverage_failed" : "coverage_behind", { node, span: span(source.lag_s * 1000) });
}

export function Coverage({ coverage }: { coverage: EventCoverage }) {
  const words = useWords();
  const nowUs = nodeNowUs();
  const late = coverage.sources.filter((source) => source.state !== "current");
  const whole =
    coverage.complete && !coverage.rebuilding && late.length === 0 && coverage.problem === null && coverage.lag_s < BEHIND_S;
  return (
    <span className={whole ? health.dim : styles.partial} data-whole={whole}>
      {!whole && "◐ "}
      {coverage.days
        ? words("coverage_days", { from: calendarDay(coverage.days.from_us), to: calendarDay(coverage.days.to_us) })
        : words("coverage_no_days")}
      {coverage.indexed_to_us > 0 && ` · ${words("coverage_to", { time: moment(coverage.indexed_to_us, nowUs) })}`}
      {coverage.lag_s >= BEHIND_S && ` · ${words("coverage_lag", { span: span(coverage.lag_s * 1000) })}`}
      {coverage.rebuilding && ` · ${words("coverage_rebuilding")}`}
      {!coverage.complete && !coverage.rebuilding && ` · ${words("coverage_partial")}`}
      {late.map((source) => (
        <span key={source.node} title={source.reason ? words.of(source.reason.remedy) : undefined}>
          {" "}
          · {said(source, words, nowUs)}
        </span>
      ))}
      {coverage.problem && ` · ${coverage.problem}`}
    </span>
  );
}
