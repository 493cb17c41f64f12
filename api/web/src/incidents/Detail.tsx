/** One incident: what it is, ten seconds of its footage over and over, what can be done, and what was done. */
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { api, fetched } from "../api";
import health from "../health/Health.module.css";
import { type Key, useWords } from "../i18n";
import { clockTime, moment } from "../time";
import { Button, Field, NoticeBox } from "../ui/controls";
import type { Incident, IncidentDeed, IncidentDetail, IncidentEntry, Incidents } from "../wire";
import { type Act, actsOf, CODES, clockOf, GLYPHS, isOver, MINUTES, nextOf, REASONS } from "./deeds";
import { titleOf } from "./Incidents";
import styles from "./Incidents.module.css";

/** The loop around what happened. */
const BEFORE_US = 9e6;
const AFTER_US = 1e6;
/** Playback opens so much before. */
const LEAD_S = 10;

const KEYS: Partial<Record<Act, string>> = {
  acknowledge: "A",
  verify: "V",
  arrive: "R",
  resolve: "T",
  escalate: "U U",
  note: "N",
  attach: "P",
};

export function Detail({
  id,
  answer,
  list,
  may,
  now,
  onMove,
  onAttach,
  onClose,
}: {
  id: string;
  answer: Incidents;
  list: readonly Incident[];
  may: boolean;
  now: number;
  onMove(incident: Incident, deed: IncidentDeed): void;
  onAttach(incident: Incident): void;
  onClose(): void;
}) {
  const words = useWords();
  const listed = list.find((incident) => incident.id === id);
  const result = useQuery({
    // Whatever changes in the list is asked for anew.
    queryKey: ["incident", id, listed?.version],
    queryFn: ({ signal }) => api.incident(id, signal),
    refetchInterval: 2000,
    placeholderData: (before) => before,
    retry: false,
  });
  const incident = result.data;
  if (!incident) {
    const state = fetched(result);
    return (
      <section className={styles.detail} aria-label={words("incidents_title")}>
        {state.state === "failed" ? <NoticeBox notice={state.notice} /> : <p className={health.dim}>{words("loading")}</p>}
      </section>
    );
  }
  const acts = may ? actsOf(incident, answer.tier, answer.upper) : [];
  const above = !isOver(incident) && acts.length > 0 && !acts.includes("dismiss");
  const clock = clockOf(incident, now);
  return (
    <section className={styles.detail} aria-label={words("incidents_detail", { number: incident.number })}>
      <header data-priority={incident.priority}>
        <span className={styles.glyph} role="img" aria-label={words(`p_${incident.priority}`)}>
          {GLYPHS[incident.priority]}
        </span>
        <h2>
          {incident.number} {titleOf(incident, words)}
        </h2>
        <span className={styles.spring} />
        {clock && <span className={clock.late ? styles.late : undefined}>{clock.text}</span>}
        <Button look="quiet" aria-label={words("incidents_close_detail")} onPress={onClose}>
          ×
        </Button>
      </header>
      <p>
        {incident.camera !== null && <b>{incident.camera}</b>} {incident.name}{" "}
        <span className={health.dim}>
          {[...incident.place, incident.home_name ? words("incidents_of", { name: incident.home_name }) : ""]
            .filter(Boolean)
            .join(" / ")}
        </span>
      </p>
      {incident.kind !== null && words.of(incident.text) && <p>{words.of(incident.text)}</p>}
      <p data-stage={incident.stage}>
        <strong>{words(`stage_${incident.stage}`)}</strong>
        {" · "}
        {words(`tier_${incident.tier}`)}
        {" · "}
        {incident.owner?.display ?? words("incidents_nobody")}
        {said(incident.detail, words) && ` · ${said(incident.detail, words)}`}
      </p>
      {incident.camera !== null && <Loop incident={incident} />}
      {above && <p className={health.dim}>{words("incidents_read_only")}</p>}
      <Acts incident={incident} acts={acts} units={answer.units} onMove={onMove} onAttach={onAttach} />
      {may && <Note onNote={(text) => onMove(incident, { do: "note", text })} />}
      {acts.includes("dismiss") && <Merge incident={incident} list={list} onMove={onMove} />}
      {incident.evidence.length > 0 && (
        <>
          <h3>{words("incidents_evidence")}</h3>
          <ul>
            {incident.evidence.map((one) => (
              <li key={`${one.camera}-${one.from_us}-${one.to_us}`}>
                <Link
                  to="/playback"
                  search={{ c: String(one.camera), t: one.from_us / 1e6, i: one.from_us / 1e6, o: one.to_us / 1e6, z: 300 }}
                >
                  {one.camera} {moment(one.from_us, now)} – {clockTime(one.to_us)}
                </Link>
                {one.hold !== null && <span className={health.dim}> {words("incidents_evidence_hold", { hold: one.hold })}</span>}
              </li>
            ))}
          </ul>
        </>
      )}
      <h3>{words("incidents_history")}</h3>
      <ol className={styles.history}>
        {incident.history.map((entry, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two entries may say the same; their place is what they are.
          <Line key={index} entry={entry} now={now} />
        ))}
      </ol>
    </section>
  );
}

/** The word for a code, reason or tier; a text that people wrote stays as it is. */
function said(detail: string | null, words: ReturnType<typeof useWords>): string {
  if (detail === null) return "";
  if ((CODES as readonly string[]).includes(detail)) return words(`code_${detail}` as Key);
  if ((REASONS as readonly string[]).includes(detail)) return words(`reason_${detail}` as Key);
  if (["room", "subdistrict", "district"].includes(detail)) return words(`tier_${detail}` as Key);
  return detail;
}

function Line({ entry, now }: { entry: IncidentEntry; now: number }) {
  const words = useWords();
  const by =
    entry.author === "clock"
      ? words("incidents_by_clock")
      : entry.author === "rule"
        ? words("incidents_by_rule", { name: entry.by ?? "" })
        : (entry.by ?? "");
  return (
    <li data-effect={entry.effect}>
      <time dateTime={new Date(entry.at_us / 1000).toISOString()}>{moment(entry.at_us, now)}</time>
      <span className={health.dim}>{entry.node_name ?? words(`tier_${entry.tier}`)}</span>
      <span>
        {by} {words(`done_${entry.what}` as Key)} {said(entry.detail, words)}
      </span>
      {entry.effect !== "done" && <strong className={styles.clash}>{words(`effect_${entry.effect}`)}</strong>}
    </li>
  );
}

function Acts({
  incident,
  acts,
  units,
  onMove,
  onAttach,
}: {
  incident: IncidentDetail;
  acts: readonly Act[];
  units: readonly string[];
  onMove(incident: Incident, deed: IncidentDeed): void;
  onAttach(incident: Incident): void;
}) {
  const words = useWords();
  const [choosing, setChoosing] = useState<Act>();
  const ask = (act: Act) => {
    switch (act) {
      case "dismiss":
      case "dispatch":
      case "close":
      case "shelve":
        return setChoosing(choosing === act ? undefined : act);
      case "attach":
        return onAttach(incident);
      case "note":
        return document.querySelector<HTMLInputElement>("input[name=note]")?.focus();
      default:
        return onMove(incident, { do: act });
    }
  };
  const choose = (deed: IncidentDeed) => {
    setChoosing(undefined);
    onMove(incident, deed);
  };
  const reason = words("incidents_shelve_reason");
  const choices: Partial<Record<Act, { label: Key; letter: string; all: { text: string; deed: IncidentDeed }[] }>> = {
    dismiss: {
      label: "incidents_reasons",
      letter: "F",
      all: REASONS.map((one) => ({ text: words(`reason_${one}`), deed: { do: "dismiss", reason: one } })),
    },
    dispatch: {
      label: "incidents_units",
      letter: "D",
      all: units.map((unit) => ({ text: unit, deed: { do: "dispatch", unit } })),
    },
    close: {
      label: "incidents_codes",
      letter: "C",
      all: CODES.map((code) => ({ text: words(`code_${code}`), deed: { do: "close", code } })),
    },
    shelve: {
      label: "incidents_minutes",
      letter: "S",
      all: MINUTES.map((minutes) => ({
        text: words("incidents_minutes_n", { count: minutes }),
        deed: { do: "shelve", minutes, reason },
      })),
    },
  };
  const open = choosing && acts.includes(choosing) ? choices[choosing] : undefined;
  return (
    <div className={styles.acts}>
      {acts.map((act): ReactNode => {
        const letter = choices[act]?.letter;
        return (
          <Button
            key={act}
            data-act={act}
            look={act === nextOf(acts) ? "primary" : "button"}
            onPress={() => ask(act)}
            {...(letter && { "aria-expanded": choosing === act })}
          >
            {words(`act_${act}`)}
            <kbd>{letter ? ` ${letter}▸` : KEYS[act] ? ` ${KEYS[act]}` : ""}</kbd>
          </Button>
        );
      })}
      {open && (
        // biome-ignore lint/a11y/useSemanticElements: a fieldset would draw a frame and mean a form.
        <div className={styles.choices} role="group" aria-label={words(open.label)}>
          {open.all.map(({ text, deed }, index) => (
            <Button key={text} onPress={() => choose(deed)}>
              <kbd>{index + 1} </kbd>
              {text}
            </Button>
          ))}
        </div>
      )}
    </div>
  );
}

function Note({ onNote }: { onNote(text: string): void }) {
  const words = useWords();
  const [text, setText] = useState("");
  return (
    <form
      className={styles.note}
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() === "") return;
        onNote(text.trim());
        setText("");
      }}
    >
      <Field label={words("incidents_note_label")} name="note" value={text} onChange={setText} maxLength={500} />
      <Button type="submit">{words("incidents_note_add")}</Button>
    </form>
  );
}

function Merge({
  incident,
  list,
  onMove,
}: {
  incident: Incident;
  list: readonly Incident[];
  onMove(incident: Incident, deed: IncidentDeed): void;
}) {
  const words = useWords();
  const others = list.filter((other) => other.id !== incident.id && !isOver(other));
  const [into, setInto] = useState("");
  if (others.length === 0) return null;
  return (
    <form
      className={styles.note}
      onSubmit={(event) => {
        event.preventDefault();
        if (into) onMove(incident, { do: "merge", into });
      }}
    >
      <label>
        <span className={health.dim}>{words("incidents_merge_label")}</span>
        <select value={into} onChange={(event) => setInto(event.target.value)}>
          <option value="">{words("incidents_merge_pick")}</option>
          {others.map((other) => (
            <option key={other.id} value={other.id}>
              {other.number} {titleOf(other, words)} {other.name}
            </option>
          ))}
        </select>
      </label>
      <Button type="submit" isDisabled={into === ""}>
        {words("incidents_merge")}
      </Button>
    </form>
  );
}

/** Ten seconds around what happened, where this node holds the footage. */
function Loop({ incident }: { incident: Incident }) {
  const words = useWords();
  const [failed, setFailed] = useState(0);
  const stream = failed === 0 ? "sub" : "main";
  const from = Math.round(incident.happened_us - BEFORE_US);
  const to = Math.round(incident.happened_us + AFTER_US);
  return (
    <figure className={styles.loop}>
      {failed < 2 ? (
        <video
          key={stream}
          src={`/api/v1/footage/${incident.camera}/${stream}.mp4?from_us=${from}&to_us=${to}`}
          autoPlay
          loop
          muted
          playsInline
          aria-label={words("alarms_loop", { camera: incident.camera ?? 0 })}
          onError={() => setFailed((count) => count + 1)}
        />
      ) : (
        <figcaption className={health.dim}>{words("alarms_no_loop")}</figcaption>
      )}
      <Link to="/playback" search={{ c: String(incident.camera), t: incident.happened_us / 1e6 - LEAD_S, z: 120 }}>
        {words("incidents_play")}
      </Link>
    </figure>
  );
}
