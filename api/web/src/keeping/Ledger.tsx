/** What was recorded, day by day: each cell a figure and a shape, its causes one click away, its longest gap two. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type KeyboardEvent, useRef, useState } from "react";
import { api, fetched, nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { useWords } from "../i18n";
import { calendarDay, clockTime } from "../time";
import { Button, Choice, NoticeBox } from "../ui/controls";
import type { Ledger as LedgerAnswer, LedgerBy, StreamKind } from "../wire";
import { DAYS, type LedgerAddress } from "./address";
import { Causes } from "./Causes";
import styles from "./Keeping.module.css";
import { type Grade, gradeOf, type Line, lastDays, linesOf, percent, SHAPES, stepped } from "./matrix";
import { Tabs } from "./Tabs";

/** The day so far changes; a minute is fresh enough for a sum over days. */
const EVERY_MS = 60_000;
/** A place is where cameras stand, however deep in the tree. */
const ALL_LEVELS = 6;

export function Ledger() {
  const words = useWords();
  const address = useSearch({ from: "/health/ledger" });
  const go = useNavigate({ from: "/health/ledger" });
  const change = (next: Partial<LedgerAddress>) => go({ search: (old) => ({ ...old, ...next }), replace: true });
  const days = lastDays(calendarDay(nodeNowUs()), address.d ?? 7);
  const by: LedgerBy = address.by === "place" ? "place_day" : "camera_day";
  const stream = address.q ?? "main";
  const first = days[0] ?? calendarDay(nodeNowUs());
  const answer = useQuery<LedgerAnswer>({
    queryKey: ["ledger", first, days.length, by, stream, address.p],
    queryFn: ({ signal }) => {
      const wanted = { from_us: new Date(`${first}T00:00:00`).getTime() * 1000, to_us: Math.floor(nodeNowUs()), by, stream };
      return api.ledger({ ...wanted, levels: ALL_LEVELS, ...(address.p && { place: address.p }) }, signal);
    },
    placeholderData: keepPreviousData,
    refetchInterval: EVERY_MS,
  });
  const ledger = fetched(answer);
  return (
    <div className={health.page}>
      <Tabs />
      <div className={health.head}>
        <h1>{words("tab_ledger")}</h1>
        <Choice
          label={words("ledger_days")}
          value={String(address.d ?? 7)}
          options={DAYS.map((n) => ({ value: String(n), text: words("ledger_days_n", { n }) }))}
          onChange={(value) => change({ d: Number(value) as (typeof DAYS)[number] })}
        />
        <Choice
          label={words("ledger_rows")}
          value={address.by ?? "camera"}
          options={[
            { value: "camera", text: words("ledger_by_camera") },
            { value: "place", text: words("ledger_by_place") },
          ]}
          onChange={(value) => change({ by: value as "camera" | "place", p: undefined, k: undefined })}
        />
        <Choice<StreamKind>
          label={words("wall_stream")}
          value={stream}
          options={[
            { value: "main", text: words("stream_main") },
            { value: "sub", text: words("stream_sub") },
          ]}
          onChange={(q) => change({ q })}
        />
        {address.p && (
          <Button onPress={() => change({ p: undefined })}>
            {address.p} <span aria-hidden>×</span>
          </Button>
        )}
      </div>
      {ledger.state === "loading" && <p>{words("loading")}</p>}
      {ledger.state === "failed" && <NoticeBox notice={ledger.notice} />}
      {ledger.state === "ready" && (
        <>
          {answer.error && <NoticeBox notice={fetchedNotice(answer.error)} />}
          <Whole ledger={ledger.value} days={days} />
        </>
      )}
    </div>
  );
}

/** The notice of a refresh that failed while older figures stay on screen. */
const fetchedNotice = (error: unknown) => {
  const failed = fetched<never>({ error, dataUpdatedAt: 0 });
  return failed.state === "failed"
    ? failed.notice
    : { status: 0, code: "", state: { zh: "", en: "" }, remedy: { zh: "", en: "" } };
};

function Whole({ ledger, days }: { ledger: LedgerAnswer; days: readonly string[] }) {
  const words = useWords();
  const address = useSearch({ from: "/health/ledger" });
  const go = useNavigate({ from: "/health/ledger" });
  const lines = linesOf(ledger.rows);
  const [key, day] = address.k?.split("@") ?? [];
  const opened = lines.find((line) => line.key === key);
  const row = day === undefined ? undefined : opened?.days.get(day);
  const open = (line: Line, on: string) => go({ search: (old) => ({ ...old, k: `${line.key}@${on}` }), replace: true });
  if (lines.length === 0) return <p className={health.well}>{words("ledger_empty")}</p>;
  return (
    <>
      <p>
        <span className={health.count}>{percent(ledger.total.completeness)} %</span>{" "}
        <span className={health.dim}>
          {words("ledger_total", {
            missing: hours(ledger.total.missing_s),
            expected: hours(ledger.total.expected_s),
            time: clockTime(ledger.as_of_us),
          })}
        </span>
      </p>
      <div className={styles.legend}>
        {(["full", "minor", "partial", "bad", "empty"] as const).map((grade) => (
          <span key={grade}>
            <i className={styles.swatch} data-grade={grade}>
              {SHAPES[grade] || (grade === "full" ? "100" : "—")}
            </i>
            {words(`grade_${grade}`)}
          </span>
        ))}
      </div>
      <Matrix lines={lines} days={days} opened={address.k} onOpen={open} />
      {opened && row && <Causes ledger={ledger} line={opened} row={row} />}
    </>
  );
}

/** Camera-hours, as the sum of a room is read. */
const hours = (seconds: number) => (seconds / 3600).toFixed(seconds < 36_000 ? 2 : 0);

function Matrix({
  lines,
  days,
  opened,
  onOpen,
}: {
  lines: readonly Line[];
  days: readonly string[];
  opened: string | undefined;
  onOpen(line: Line, day: string): void;
}) {
  const words = useWords();
  const table = useRef<HTMLTableElement>(null);
  const [at, setAt] = useState({ row: 0, column: days.length - 1 });
  const key = (event: KeyboardEvent) => {
    const next = stepped(at, event.code, lines.length, days.length);
    if (!next) return;
    event.preventDefault();
    setAt(next);
    table.current?.querySelector<HTMLElement>(`[data-at="${next.row},${next.column}"]`)?.focus();
  };
  return (
    <div className={health.scroll}>
      <table className={styles.matrix} ref={table} onKeyDown={key}>
        <caption className="unseen">{words("ledger_caption")}</caption>
        <thead>
          <tr>
            <th scope="col">{words(lines[0]?.camera === undefined ? "column_place" : "health_cameras")}</th>
            {days.map((day) => (
              <th key={day} scope="col" data-figure>
                {day.slice(5)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {lines.map((line, row) => (
            <tr key={line.key} data-line={line.key}>
              <th scope="row">
                {line.camera !== undefined && <b>{line.camera}</b>} {line.name}{" "}
                {line.camera !== undefined && <span className={health.dim}>{line.place.join(" / ")}</span>}
                {line.removedUs !== undefined && (
                  <span className={health.dim}> · {words("camera_removed", { time: calendarDay(line.removedUs) })}</span>
                )}
              </th>
              {days.map((day, column) => {
                const cell = line.days.get(day);
                const grade: Grade = gradeOf(cell);
                const figure = percent(cell?.completeness);
                return (
                  <td key={day}>
                    <button
                      type="button"
                      className={styles.cell}
                      data-grade={grade}
                      data-at={`${row},${column}`}
                      aria-pressed={opened === `${line.key}@${day}`}
                      aria-label={words("ledger_cell", { name: line.name, day, figure, grade: words(`grade_${grade}`) })}
                      tabIndex={at.row === row && at.column === column ? 0 : -1}
                      disabled={cell === undefined}
                      onFocus={() => setAt({ row, column })}
                      onClick={() => onOpen(line, day)}
                    >
                      <span aria-hidden>{SHAPES[grade]}</span> {figure}
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
