/** Web hooks: what other systems were not told of. Each message is sent again, or given up, by a person. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, type Done, fetched, type Notice, nodeNowUs } from "../api";
import styles from "../health/Health.module.css";
import { useWords } from "../i18n";
import { moment } from "../time";
import { Button, NoticeBox } from "../ui/controls";
import type { HookAside, Hooks as HooksAnswer } from "../wire";

/** Hooks go on by themselves meanwhile. */
const EVERY_MS = 5000;

export function Hooks() {
  const words = useWords();
  const queries = useQueryClient();
  const [notice, setNotice] = useState<Notice>();
  const [busy, setBusy] = useState<string>();
  const query = useQuery<HooksAnswer>({
    queryKey: ["hooks"],
    queryFn: ({ signal }) => api.hooks(signal),
    refetchInterval: EVERY_MS,
  });
  const list = fetched(query);
  const act = async (key: string, doing: Promise<Done<void>>) => {
    setBusy(key);
    const done = await doing;
    setBusy(undefined);
    setNotice(done.state === "failed" ? done.notice : undefined);
    await queries.invalidateQueries({ queryKey: ["hooks"] });
  };
  if (list.state === "loading") return <p>{words("loading")}</p>;
  if (list.state === "failed") return <NoticeBox notice={list.notice} />;
  const { hooks } = list.value;
  const rows = hooks.flatMap((hook) => hook.aside.map((aside) => ({ hook: hook.name, aside }))).reverse();
  const nowUs = nodeNowUs();
  return (
    <section className={styles.section} aria-label={words("hooks_label")}>
      {notice && <NoticeBox notice={notice} />}
      {hooks.length === 0 && <p>{words("hooks_unconfigured")}</p>}
      {hooks.map((hook) => (
        <p key={hook.name}>
          <strong>{hook.name}</strong>{" "}
          <span className={styles.dim}>
            {words("hooks_taken", { n: hook.taken })}
            {hook.failing && ` · ${words("hooks_failing", { why: hook.failing })}`}
          </span>
          {hook.left > 0 && (
            <>
              {" "}
              <Link to="/events" search={{ r: "30d", k: "hook.failed" }} data-left={hook.left}>
                {words("hooks_left", { n: hook.left })}
              </Link>
            </>
          )}
        </p>
      ))}
      {hooks.length > 0 && rows.length === 0 && <p>{words("hooks_none")}</p>}
      {rows.length > 0 && (
        <div className={styles.scroll}>
          <table className={styles.table}>
            <thead>
              <tr>
                <th>{words("hooks_since")}</th>
                <th>{words("hooks_label")}</th>
                <th>{words("hooks_message")}</th>
                <th>{words("hooks_why")}</th>
                <th>{words("column_acts")}</th>
              </tr>
            </thead>
            <tbody>
              {rows.map(({ hook, aside }) => {
                const key = `${hook}/${aside.seq}`;
                return (
                  <tr key={key} data-aside={aside.seq}>
                    <td>{aside.since_us === null ? "—" : moment(aside.since_us, nowUs)}</td>
                    <td>{hook}</td>
                    <td>
                      <Message aside={aside} />
                    </td>
                    <td>
                      {words.of(aside.why)}
                      {aside.attempts > 0 && (
                        <span className={styles.dim}> {words("hooks_attempts", { n: aside.attempts })}</span>
                      )}
                    </td>
                    <td>
                      <Button
                        isDisabled={busy !== undefined}
                        aria-label={words("hooks_send_one", { seq: aside.seq })}
                        onPress={() => act(key, api.sendHookAgain(hook, aside.seq))}
                      >
                        {words(busy === key ? "hooks_sending" : "hooks_send")}
                      </Button>{" "}
                      <Button
                        look="quiet"
                        isDisabled={busy !== undefined}
                        aria-label={words("hooks_discard_one", { seq: aside.seq })}
                        onPress={() => act(key, api.discardHookMessage(hook, aside.seq))}
                      >
                        {words("hooks_discard")}
                      </Button>
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

/** Which message: its number, and what it said. */
function Message({ aside: { seq, kind, alarm } }: { aside: HookAside }) {
  const words = useWords();
  const what = kind === null ? words("hooks_forgotten") : words(kind === "alarm.raised" ? "hooks_raised" : "hooks_acknowledged");
  const { camera, name, rule_name, by } = alarm ?? {};
  return (
    <>
      {what}{" "}
      {camera !== undefined && camera !== null && (
        <>
          <b>{camera}</b> {name}{" "}
        </>
      )}
      <span className={styles.dim}>
        {[rule_name, typeof by === "string" ? by : undefined, `#${seq}`].filter(Boolean).join(" · ")}
      </span>
    </>
  );
}
