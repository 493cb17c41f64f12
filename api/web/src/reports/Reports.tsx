/** How well rooms recorded and how soon somebody came: charts over periods, the shown period's table with ranks, and beside the
 * figures what they mean. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Fragment } from "react";
import { api, fetched, nodeNowUs, reportUrl } from "../api";
import health from "../health/Health.module.css";
import { useWords } from "../i18n";
import { calendarDay, clockTime, moment } from "../time";
import { Button, Choice, NoticeBox } from "../ui/controls";
import controls from "../ui/controls.module.css";
import { useKeyTable } from "../ui/keys";
import type { ReportAnswer, ReportLevel, ReportMeasure, ReportPeriod, ReportRow, ReportStep, ReportWish } from "../wire";
import { firstDay, LEVELS, MEASURES, type ReportsAddress, STEPS } from "./address";
import { Chart } from "./Chart";
import { figureOf, median, ranked, share, took } from "./figures";
import styles from "./Reports.module.css";

/** The day so far changes; a minute is fresh enough for sums over days. */
const EVERY_MS = 60_000;
/** The order in which definitions are read. */
const MEANINGS = [...MEASURES, "percentiles", "rank", "sums"] as const;

const after = <T,>(all: readonly T[], one: T): T => all[(all.indexOf(one) + 1) % all.length] ?? one;

export function Reports() {
  const words = useWords();
  const address = useSearch({ from: "/reports" });
  const go = useNavigate({ from: "/reports" });
  const change = (next: Partial<ReportsAddress>) => go({ search: (old) => ({ ...old, ...next }), replace: true });
  const [step, level, measure] = [address.s ?? "day", address.l ?? "room", address.m ?? "completeness"];
  const today = calendarDay(nodeNowUs());
  const wish: ReportWish = { from: firstDay(today, step), to: today, step, level, ...(address.u && { under: address.u }) };
  const answer = useQuery<ReportAnswer>({
    queryKey: ["reports", wish.from, wish.to, step, level, wish.under],
    queryFn: ({ signal }) => api.reports(wish, signal),
    placeholderData: keepPreviousData,
    refetchInterval: EVERY_MS,
  });
  const report = fetched(answer);
  const periods = report.state === "ready" ? report.value.periods : [];
  const place = periods.findIndex((period) => period.from === address.p);
  const at = place < 0 ? periods.length - 1 : place;
  const show = (n: number) => {
    const period = periods[n];
    if (period) change({ p: n === periods.length - 1 ? undefined : period.from });
  };
  /** What is taken out is the period that is shown. */
  const shown = periods[at];
  const taken: ReportWish = shown ? { ...wish, from: shown.from, to: shown.to } : wish;
  useKeyTable("reports", {
    previous: () => show(at - 1),
    next: () => show(at + 1),
    step: () => change({ s: after<ReportStep>(STEPS, step), p: undefined }),
    measure: () => change({ m: after<ReportMeasure>(MEASURES, measure) }),
    print: () => window.open(reportUrl(taken, "html", words.language), "_blank", "noopener"),
  });
  return (
    <div className={health.page}>
      <div className={health.head}>
        <h1>{words("reports_title")}</h1>
        <Choice<ReportStep>
          label={words("reports_step")}
          value={step}
          options={STEPS.map((value) => ({ value, text: words(`step_${value}`) }))}
          onChange={(s) => change({ s, p: undefined })}
        />
        <Choice<ReportLevel>
          label={words("reports_level")}
          value={level}
          options={LEVELS.map((value) => ({ value, text: words(`level_${value}`) }))}
          onChange={(l) => change({ l })}
        />
        {address.u && (
          <Button onPress={() => change({ u: undefined })}>
            {words("reports_under", { name: nameOf(report.state === "ready" ? report.value : undefined, address.u) })}{" "}
            <span aria-hidden>×</span>
          </Button>
        )}
        <a className={controls.button} href={reportUrl(taken, "csv", words.language)} download>
          {words("reports_csv")}
        </a>
        <a className={controls.button} href={reportUrl(taken, "html", words.language)} target="_blank" rel="noreferrer">
          {words("reports_print")}
        </a>
      </div>
      {report.state === "loading" && <p>{words("loading")}</p>}
      {report.state === "failed" && <NoticeBox notice={report.notice} />}
      {report.state === "ready" && answer.error && <Stale error={answer.error} />}
      {report.state === "ready" && shown && (
        <>
          <Coverage report={report.value} period={shown} />
          <Charts report={report.value} under={address.u} />
          <div className={health.head}>
            <Button aria-label={words("reports_previous")} isDisabled={at <= 0} onPress={() => show(at - 1)}>
              ‹
            </Button>
            <h2 data-period={shown.from}>{spoken(shown)}</h2>
            <Button aria-label={words("reports_next")} isDisabled={at >= periods.length - 1} onPress={() => show(at + 1)}>
              ›
            </Button>
            <Choice<ReportMeasure>
              label={words("reports_measure")}
              value={measure}
              options={MEASURES.map((value) => ({ value, text: words(`measure_${value}`) }))}
              onChange={(m) => change({ m })}
              visibleLabel
            />
          </div>
          <Table report={report.value} period={shown} measure={measure} under={address.u} onChoose={(u) => change({ u })} />
          <Kinds report={report.value} period={shown} />
          <Meaning report={report.value} />
        </>
      )}
    </div>
  );
}

/** The notice of a refresh that failed while older figures stay on screen. */
function Stale({ error }: { error: unknown }) {
  const failed = fetched<never>({ error, dataUpdatedAt: 0 });
  return failed.state === "failed" ? <NoticeBox notice={failed.notice} /> : null;
}

const spoken = (period: ReportPeriod) => (period.from === period.to ? period.from : `${period.from} – ${period.to}`);

function nameOf(report: ReportAnswer | undefined, node: string): string {
  const room = report?.rooms.find((one) => one.node === node || one.above === node);
  if (!room) return node;
  return room.node === node ? room.name : room.above_name;
}

/** What is not in the figures, by name: a sum that looks whole and is not would be believed. */
function Coverage({ report, period }: { report: ReportAnswer; period: ReportPeriod }) {
  const words = useWords();
  const now = nodeNowUs();
  const missing = (period.rows.length > 0 ? period.rows : [period.total]).filter((row) => row.missing.length > 0);
  const behind = report.rooms.filter((room) => room.reason !== null);
  const running = period.total.running > 0;
  if (missing.length === 0 && behind.length === 0 && !running) return null;
  return (
    <ul className={health.section} data-coverage>
      {running && <li className={health.dim}>{words("reports_so_far", { time: clockTime(report.as_of_us) })}</li>}
      {missing.map((row) => (
        <li key={row.node} className={styles.short}>
          ◐ {words("reports_missing", { name: row.name || words("reports_all"), days: row.missing.join(", ") })}
        </li>
      ))}
      {behind.map((room) => (
        <li key={room.node} className={styles.short}>
          ◐{" "}
          {room.covered_to_us === null
            ? words("reports_behind_never", { name: room.name, why: words.of(room.reason?.state ?? { zh: "", en: "" }) })
            : words("reports_behind", {
                name: room.name,
                why: words.of(room.reason?.state ?? { zh: "", en: "" }),
                time: moment(room.covered_to_us, now),
              })}
        </li>
      ))}
    </ul>
  );
}

function Charts({ report, under }: { report: ReportAnswer; under: string | undefined }) {
  const words = useWords();
  const newest = report.periods.at(-1)?.total;
  const row = (period: ReportPeriod) => period.rows.find((one) => one.node === under);
  const axis = (measure: ReportMeasure) => (value: number) =>
    measure === "acknowledge" ? took(Math.round(value)) : measure === "faults" ? value.toFixed(3) : share(value);
  return (
    <div className={styles.charts}>
      {MEASURES.map((measure) => (
        <Chart
          key={measure}
          title={words(`measure_${measure}`)}
          last={newest ? figureOf(newest, measure) : "—"}
          values={report.periods.map((period) => period.total.values[measure])}
          beside={under ? report.periods.map((period) => row(period)?.values[measure]) : undefined}
          isShare={measure !== "acknowledge" && measure !== "faults"}
          axis={axis(measure)}
        />
      ))}
    </div>
  );
}

function Table({
  report,
  period,
  measure,
  under,
  onChoose,
}: {
  report: ReportAnswer;
  period: ReportPeriod;
  measure: ReportMeasure;
  under: string | undefined;
  onChoose(node: string): void;
}) {
  const words = useWords();
  const empty = period.total.figures.expected_us === 0 && period.total.all.raised === 0;
  if (empty && period.total.missing.length === 0) return <p className={health.well}>{words("reports_empty")}</p>;
  const cells = (row: ReportRow) => (
    <>
      {MEASURES.map((one) => (
        <td key={one}>
          {figureOf(row, one)}
          {row.ranks[one] !== undefined && (
            <span className={styles.rank} role="img" aria-label={`${words("measure_rank")} ${row.ranks[one]}`}>
              #{row.ranks[one]}
            </span>
          )}
        </td>
      ))}
      <td className={row.figures.short > 0 ? styles.short : undefined}>{row.figures.short}</td>
      <td>{row.all.raised}</td>
      <td>{median(row.all.acknowledge)}</td>
      <td>{median(row.all.arrive)}</td>
      <td>{median(row.all.close)}</td>
    </>
  );
  return (
    <div className={health.scroll}>
      <table className={styles.table}>
        <caption className="unseen">{words("reports_caption")}</caption>
        <thead>
          <tr>
            <th scope="col">{words("reports_name")}</th>
            {MEASURES.map((one) => (
              <th key={one} scope="col" title={words.of(report.definitions[one] ?? { zh: "", en: "" })}>
                {words(`measure_${one}`)}
                {one === measure && <span aria-hidden> ▾</span>}
              </th>
            ))}
            <th scope="col">{words("reports_short")}</th>
            <th scope="col">{words("reports_incidents")}</th>
            <th scope="col">{words("reports_acknowledged")}</th>
            <th scope="col">{words("reports_arrived")}</th>
            <th scope="col">{words("reports_closed")}</th>
          </tr>
        </thead>
        <tbody>
          {ranked(period.rows, measure).map((row) => (
            <tr key={row.node} data-node={row.node} {...(row.node === under && { "data-chosen": true })}>
              <th scope="row">
                <button type="button" className={styles.plain} onClick={() => row.node && onChoose(row.node)}>
                  {row.name}
                </button>{" "}
                {row.missing.length > 0 && (
                  <span className={styles.short}>◐ {words("reports_missing_n", { n: row.missing.length })}</span>
                )}
              </th>
              {cells(row)}
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">{words("reports_all")}</th>
            {cells(period.total)}
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

function Kinds({ report, period }: { report: ReportAnswer; period: ReportPeriod }) {
  const words = useWords();
  if (period.total.incidents.length === 0) return <p className={health.dim}>{words("reports_no_incidents")}</p>;
  return (
    <div className={health.scroll}>
      <table className={styles.table}>
        <caption className="unseen">{words("reports_kinds_caption")}</caption>
        <thead>
          <tr>
            <th scope="col">{words("reports_kind")}</th>
            <th scope="col">{words("reports_number")}</th>
            <th scope="col">{words("reports_acknowledged")}</th>
            <th scope="col">{words("reports_arrived")}</th>
            <th scope="col">{words("reports_closed")}</th>
          </tr>
        </thead>
        <tbody>
          {period.total.incidents.map((of) => (
            <tr key={of.kind} data-kind={of.kind}>
              <th scope="row">{words.of(report.words[of.kind ?? ""] ?? { zh: of.kind ?? "", en: of.kind ?? "" })}</th>
              <td>{of.raised}</td>
              <td>{median(of.acknowledge)}</td>
              <td>{median(of.arrive)}</td>
              <td>{median(of.close)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Meaning({ report }: { report: ReportAnswer }) {
  const words = useWords();
  return (
    <section className={health.section}>
      <h2>{words("reports_meaning")}</h2>
      <dl className={styles.meaning}>
        {MEANINGS.map((name) => (
          <Fragment key={name}>
            <dt>{words(`measure_${name}`)}</dt>
            <dd>{words.of(report.definitions[name] ?? { zh: "", en: "" })}</dd>
          </Fragment>
        ))}
      </dl>
    </section>
  );
}
