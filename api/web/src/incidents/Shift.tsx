/** The note from one shift to the next: made by the node, printed if wanted, signed by both with their own logins. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Done, fetched, type Notice } from "../api";
import health from "../health/Health.module.css";
import { useWords } from "../i18n";
import { mayWatch, useMe } from "../session";
import { moment, span } from "../time";
import { Button, Field, NoticeBox } from "../ui/controls";
import type { HandOver, Incident, ShiftNote } from "../wire";
import { GLYPHS } from "./deeds";
import { titleOf } from "./Incidents";
import styles from "./Incidents.module.css";

export function Shift() {
  const words = useWords();
  const { me } = useMe();
  const result = useQuery({
    queryKey: ["shift"],
    queryFn: ({ signal }) => api.shiftNote(signal),
    refetchInterval: 5000,
    retry: false,
  });
  const state = fetched(result);
  if (state.state === "failed") return <NoticeBox notice={state.notice} />;
  if (state.state === "loading") return <p className={health.dim}>{words("loading")}</p>;
  const note = state.value;
  const median = note.acknowledge_median_s === null ? "–" : span(note.acknowledge_median_s * 1000);
  return (
    <article className={`${health.page} ${styles.shift}`}>
      <div className={health.head}>
        <h1>
          {words("shift_title")} · {note.node_name}
        </h1>
        <span className={health.dim}>
          {words("shift_span", { from: moment(note.from_us, note.to_us), to: moment(note.to_us, note.to_us) })}
        </span>
        <span className={styles.spring} />
        <Button onPress={() => window.print()}>{words("shift_print")}</Button>
        <Link to="/incidents">{words("shift_back")}</Link>
      </div>
      <p>{words("shift_figures", { opened: note.opened, closed: note.closed, median })}</p>
      <Few title={words("shift_open")} incidents={note.open} />
      <Few title={words("shift_shelved")} incidents={note.shelved} />
      <section>
        <h2>{words("shift_notes")}</h2>
        {note.notes.length === 0 && <p className={health.dim}>{words("shift_none")}</p>}
        <ul>
          {note.notes.map((one) => (
            <li key={`${one.at_us}-${one.number}`}>
              {moment(one.at_us, note.to_us)} {one.number} {one.by}: {one.text}
            </li>
          ))}
        </ul>
      </section>
      <section>
        <h2>{words("shift_offline")}</h2>
        <p>
          {note.offline.length === 0
            ? words("shift_none")
            : note.offline.map(({ camera, name }) => `${camera} ${name}`).join(words.language === "zh" ? "、" : ", ")}
        </p>
      </section>
      <HandOvers note={note} may={me !== undefined && mayWatch(me)} />
    </article>
  );
}

function Few({ title, incidents }: { title: string; incidents: readonly Incident[] }) {
  const words = useWords();
  return (
    <section>
      <h2>
        {title} {incidents.length}
      </h2>
      {incidents.length === 0 && <p className={health.dim}>{words("shift_none")}</p>}
      <ul>
        {incidents.map((incident) => (
          <li key={incident.id} data-priority={incident.priority}>
            <span className={styles.glyph} role="img" aria-label={words(`p_${incident.priority}`)}>
              {GLYPHS[incident.priority]}
            </span>{" "}
            {incident.number} {titleOf(incident, words)} · {incident.camera ?? ""} {incident.name} ·{" "}
            {words(`stage_${incident.stage}`)} · {incident.owner?.display ?? words("incidents_nobody")}
          </li>
        ))}
      </ul>
    </section>
  );
}

function HandOvers({ note, may }: { note: ShiftNote; may: boolean }) {
  const words = useWords();
  const queries = useQueryClient();
  const [to, setTo] = useState("");
  const [remarks, setRemarks] = useState("");
  const [notice, setNotice] = useState<Notice>();
  const act = async (call: Promise<Done<HandOver>>) => {
    const done = await call;
    setNotice(done.state === "failed" ? done.notice : undefined);
    await queries.invalidateQueries({ queryKey: ["shift"] });
  };
  return (
    <section>
      <h2>{words("shift_hand_overs")}</h2>
      <ul className={styles.signed}>
        {note.hand_overs.map((one) => {
          const at = moment(one.at_us, note.to_us);
          return (
            <li key={one.seq} data-hand-over={one.seq}>
              {one.taken_us === null
                ? words("shift_waits", { by: one.by, at, to: one.to })
                : words("shift_signed", { by: one.by, at, to: one.to, taken: moment(one.taken_us, note.to_us) })}
              {one.remarks && <span> · {one.remarks}</span>}
              {one.for_me && one.taken_us === null && (
                <Button look="primary" onPress={() => void act(api.takeOver(one.seq))}>
                  {words("shift_take")}
                </Button>
              )}
            </li>
          );
        })}
      </ul>
      {may && note.colleagues.length > 0 && (
        <form
          className={styles.note}
          onSubmit={(event) => {
            event.preventDefault();
            if (to) void act(api.handOver(to, remarks));
          }}
        >
          <label>
            <span className={health.dim}>{words("shift_to")}</span>
            <select name="to" value={to} onChange={(event) => setTo(event.target.value)}>
              <option value="">–</option>
              {note.colleagues.map(({ name, display }) => (
                <option key={name} value={name}>
                  {display}
                </option>
              ))}
            </select>
          </label>
          <Field label={words("shift_remarks")} name="remarks" value={remarks} onChange={setRemarks} maxLength={2000} />
          <Button type="submit" isDisabled={to === ""}>
            {words("shift_hand")}
          </Button>
        </form>
      )}
      {notice && <NoticeBox notice={notice} />}
    </section>
  );
}
