/**
 * The queue of incidents and the one that is looked at: what waits, for how long yet, whose it is, and one key for each step. The node
 * decides what is possible; who comes second is told who was first.
 */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { api, fetched, type Notice, nodeNowUs } from "../api";
import { listen } from "../events/feed";
import health from "../health/Health.module.css";
import { useWords } from "../i18n";
import { incidentsRoute } from "../router";
import { mayWatch, useMe } from "../session";
import { clockTime, span } from "../time";
import { Button, NoticeBox } from "../ui/controls";
import { digitOf } from "../ui/keymap";
import { useKeyTable } from "../ui/keys";
import type { Incidents as Answer, Incident, IncidentDeed, IncidentQueue } from "../wire";
import { QUEUES } from "./address";
import { Detail } from "./Detail";
import { type Act, actsOf, CODES, clockOf, GLYPHS, isFlood, MINUTES, neighbour, REASONS, UNDO_S } from "./deeds";
import styles from "./Incidents.module.css";
import { Open } from "./Open";

/** Without a feed (in a centre) the queue is asked so often; with one, whatever changes is told. */
const ASK_EVERY_MS = 2000;
const PAGE = 100;
/** Footage that the evidence key takes: from so long before what happened, to so long after. */
const EVIDENCE_US = { before: 30e6, after: 60e6 };

export function Incidents() {
  const words = useWords();
  const { me } = useMe();
  const address = incidentsRoute.useSearch();
  const navigate = incidentsRoute.useNavigate();
  const queries = useQueryClient();
  const [limit, setLimit] = useState(PAGE);
  const [notice, setNotice] = useState<Notice>();
  const [undo, setUndo] = useState<{ id: string; untilUs: number }>();
  const now = useNow();
  const own = (queries.getQueryData(["incidents", "tier"]) as Answer | undefined)?.tier;
  const queue = address.q ?? own ?? "room";
  const result = useQuery({
    queryKey: ["incidents", queue, limit],
    queryFn: ({ signal }) => api.incidents(queue, limit, signal),
    refetchInterval: ASK_EVERY_MS,
    placeholderData: (before) => before,
    retry: false,
  });
  const answer = result.data;
  useEffect(() => {
    if (answer) queries.setQueryData(["incidents", "tier"], answer);
  }, [answer, queries]);
  useEffect(() => listen({ incidents: () => void queries.invalidateQueries({ queryKey: ["incidents"] }) }), [queries]);
  const flood = useRef(false);
  flood.current = isFlood(answer?.figures.opened_10_min ?? 0, flood.current);
  const list = answer?.incidents ?? [];
  const chosen = list.find(({ id }) => id === address.i);
  const choose = (id: string | undefined) =>
    navigate({ search: (was) => ({ ...was, i: id }), replace: true, resetScroll: false });
  const may = me !== undefined && mayWatch(me);

  const move = async (incident: Incident | undefined, deed: IncidentDeed) => {
    if (!incident || !may) return false;
    const done = await api.moveIncident(incident.id, incident.version, deed);
    setNotice(done.state === "failed" ? done.notice : undefined);
    if (done.state === "done") {
      queries.setQueryData(["incident", incident.id], done.value);
      const ended = deed.do === "close" || deed.do === "dismiss";
      setUndo(ended ? { id: incident.id, untilUs: nodeNowUs() + UNDO_S * 1e6 } : undefined);
    }
    await queries.invalidateQueries({ queryKey: ["incidents"] });
  };
  /** A key acts only where its button would be there. */
  const can = (act: Act) =>
    chosen !== undefined && answer !== undefined && actsOf(chosen, answer.tier, answer.upper).includes(act);
  const plain = (act: "acknowledge" | "verify" | "arrive" | "resolve" | "escalate") =>
    can(act) ? void move(chosen, { do: act }) : false;
  const digit = <T,>(code: string, of: readonly T[]): T | undefined => of[Number(digitOf(code)) - 1];
  const attach = (incident: Incident | undefined) => {
    if (!incident || incident.camera === null) return false;
    const from_us = Math.round(incident.happened_us - EVIDENCE_US.before);
    const to_us = Math.round(incident.happened_us + EVIDENCE_US.after);
    void move(incident, { do: "attach", camera: String(incident.camera), from_us, to_us });
  };
  const takeBack = async () => {
    if (!undo) return false;
    const current = await queries.fetchQuery({ queryKey: ["incident", undo.id], queryFn: () => api.incident(undo.id) });
    await move(current, { do: "undo" });
  };
  const undoing = undo && undo.untilUs > now ? Math.ceil((undo.untilUs - now) / 1e6) : 0;

  useKeyTable("incidents", {
    next: () => choose(neighbour(list, address.i, 1)?.id),
    previous: () => choose(neighbour(list, address.i, -1)?.id),
    open: () => (chosen || document.activeElement?.closest("button, a") ? false : choose(list[0]?.id)),
    close: () => (address.n || address.i ? void navigate({ search: { q: address.q } }) : false),
    acknowledge: () => plain("acknowledge"),
    verify: () => plain("verify"),
    arrive: () => plain("arrive"),
    resolve: () => plain("resolve"),
    escalate: () => plain("escalate"),
    dismiss({ code }) {
      const reason = digit(code, REASONS);
      return reason && can("dismiss") ? void move(chosen, { do: "dismiss", reason }) : false;
    },
    dispatch({ code }) {
      const unit = digit(code, answer?.units ?? []);
      return unit && can("dispatch") ? void move(chosen, { do: "dispatch", unit }) : false;
    },
    end({ code }) {
      const how = digit(code, CODES);
      return how && can("close") ? void move(chosen, { do: "close", code: how }) : false;
    },
    shelve({ code }) {
      const minutes = digit(code, MINUTES);
      const reason = words("incidents_shelve_reason");
      return minutes && can("shelve") ? void move(chosen, { do: "shelve", minutes, reason }) : false;
    },
    note() {
      const field = document.querySelector<HTMLInputElement>("input[name=note]");
      if (!field) return false;
      field.focus();
    },
    attach: () => (can("attach") ? attach(chosen) : false),
    undo: () => (undoing > 0 ? void takeBack() : false),
    fresh: () => (may ? void navigate({ search: (was) => ({ ...was, n: "1" as const }) }) : false),
  });

  const failed = fetched(result);
  return (
    <div className={styles.page}>
      <h1 className="unseen">{words("incidents_title")}</h1>
      <div className={styles.bar}>
        <nav aria-label={words("incidents_queues")} className={styles.queues}>
          {QUEUES.map((one) => (
            <Link
              key={one}
              from={incidentsRoute.fullPath}
              search={{ q: one }}
              className={styles.queue ?? ""}
              aria-current={one === queue ? "page" : undefined}
              data-queue={one}
            >
              {words(`queue_${one}`)} <b>{answer?.counts[one] ?? "–"}</b>
              {one === answer?.tier && <span className={health.dim}> {words("incidents_here")}</span>}
            </Link>
          ))}
        </nav>
        {(answer?.counts.overdue ?? 0) > 0 && (
          <span className={styles.late}>{words("incidents_overdue", { count: answer?.counts.overdue ?? 0 })}</span>
        )}
        <span className={health.dim}>{words("incidents_recent", { count: answer?.figures.opened_10_min ?? 0 })}</span>
        <span className={styles.spring} />
        {undoing > 0 && (
          <Button look="primary" onPress={() => void takeBack()}>
            {words("incidents_undo", { seconds: undoing })}
            <kbd> Z</kbd>
          </Button>
        )}
        {may && (
          <Button onPress={() => void navigate({ search: (was) => ({ ...was, n: "1" as const }) })} data-act="new">
            {words("incidents_new")}
          </Button>
        )}
        <Link to="/incidents/shift">{words("incidents_shift")}</Link>
      </div>
      {flood.current && (
        <p className={styles.flood} role="status">
          {words("incidents_flood", { count: answer?.figures.opened_10_min ?? 0 })}
        </p>
      )}
      {notice && <NoticeBox notice={notice} />}
      {failed.state === "failed" && <NoticeBox notice={failed.notice} />}
      {failed.state === "loading" && <p className={health.dim}>{words("loading")}</p>}
      {answer && (
        <div className={styles.split} data-open={chosen !== undefined}>
          <section className={styles.list} aria-label={words(`queue_${queue}`)}>
            {list.length === 0 ? (
              <Empty queue={queue} answer={answer} />
            ) : (
              <table>
                <thead>
                  <tr>
                    <th>
                      <span className="unseen">{words("open_priority")}</span>
                    </th>
                    <th>{words("incidents_time")}</th>
                    <th>{words("incidents_number")}</th>
                    <th>{words("incidents_what")}</th>
                    <th>{words("incidents_where")}</th>
                    <th>{words("incidents_state")}</th>
                    <th>{words("incidents_owner")}</th>
                  </tr>
                </thead>
                <tbody>
                  {list.map((incident) => (
                    <Row
                      key={incident.id}
                      incident={incident}
                      node={answer.node}
                      now={now}
                      current={incident.id === chosen?.id}
                      onChoose={() => choose(incident.id)}
                    />
                  ))}
                </tbody>
              </table>
            )}
            {answer.next !== null && (
              <Button onPress={() => setLimit((count) => Math.min(200, count + PAGE))} isDisabled={limit >= 200}>
                {words("incidents_more")}
              </Button>
            )}
          </section>
          {address.i && (
            <Detail
              key={address.i}
              id={address.i}
              answer={answer}
              list={list}
              may={may}
              now={now}
              onMove={move}
              onAttach={attach}
              onClose={() => choose(undefined)}
            />
          )}
        </div>
      )}
      {address.n && may && <Open from={address} onClose={(id) => void navigate({ search: { q: address.q, i: id } })} />}
    </div>
  );
}

/** The node's clock, once a second. */
function useNow(): number {
  const [now, setNow] = useState(nodeNowUs);
  useEffect(() => {
    const timer = setInterval(() => setNow(nodeNowUs()), 500);
    return () => clearInterval(timer);
  }, []);
  return now;
}

function Empty({ queue, answer }: { queue: IncidentQueue; answer: Answer }) {
  const words = useWords();
  const { closed_day, opened_day, acknowledge_median_s } = answer.figures;
  const median = acknowledge_median_s === null ? "–" : span(acknowledge_median_s * 1000);
  return (
    <p className={styles.empty}>
      {queue === "closed"
        ? words("incidents_empty_closed")
        : words("incidents_empty", { closed: closed_day, opened: opened_day, median })}
    </p>
  );
}

function Row({
  incident,
  node,
  now,
  current,
  onChoose,
}: {
  incident: Incident;
  node: string;
  now: number;
  current: boolean;
  onChoose(): void;
}) {
  const words = useWords();
  const row = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (current) row.current?.scrollIntoView({ block: "nearest" });
  }, [current]);
  const clock = clockOf(incident, now);
  const { shelved_until_us: shelved } = incident;
  return (
    // The number is the button; the whole row is a larger target for the mouse.
    <tr ref={row} data-incident={incident.id} data-priority={incident.priority} aria-current={current} onClick={onChoose}>
      <td className={styles.glyph}>
        <span role="img" aria-label={words(`p_${incident.priority}`)}>
          {GLYPHS[incident.priority]}
        </span>
      </td>
      <td className={clock?.late ? styles.late : undefined}>
        {shelved !== null ? words("incidents_shelved_until", { time: clockTime(shelved) }) : (clock?.text ?? "")}
      </td>
      <td>
        <button type="button" className={styles.number} onClick={onChoose}>
          {incident.number}
        </button>
      </td>
      <td>{titleOf(incident, words)}</td>
      <td>
        {incident.camera !== null && <b>{incident.camera}</b>} {incident.name}
        {incident.home !== node && incident.home_name && <span className={health.dim}> {incident.home_name}</span>}
      </td>
      <td>
        {words(`stage_${incident.stage}`)}
        {incident.clashes > 0 && <strong className={styles.clash}> {words("incidents_clash")}</strong>}
      </td>
      <td>{incident.owner?.display ?? words("incidents_nobody")}</td>
    </tr>
  );
}

export function titleOf(incident: Incident, words: ReturnType<typeof useWords>): string {
  if (incident.kind_name) return words.of(incident.kind_name);
  return words.of(incident.text) || words("incidents_plain");
}
