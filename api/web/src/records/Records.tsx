/** The access register: who watched what, when and why. For auditors, whose own queries are registered too. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { api, fetched, nodeNowUs } from "../api";
import styles from "../health/Health.module.css";
import { type Key, useWords } from "../i18n";
import { categoryKey } from "../signin/purpose";
import { moment } from "../time";
import { Button, Choice, Field, NoticeBox } from "../ui/controls";
import type { AccessRecord } from "../wire";
import { ACTIONS, type RecordsAddress } from "./address";

const PAGE = 100;

export function Records() {
  const words = useWords();
  const address = useSearch({ from: "/records" });
  const go = useNavigate({ from: "/records" });
  const query = useInfiniteQuery({
    queryKey: ["access-records", address],
    queryFn: ({ signal, pageParam }) =>
      api.accessRecords({ ...address, limit: PAGE, ...(pageParam && { before_seq: pageParam }) }, signal),
    initialPageParam: 0,
    getNextPageParam: (last) => last.next_before_seq ?? undefined,
  });
  const list = fetched(query);
  const change = (next: Partial<RecordsAddress>) => go({ search: (old) => ({ ...old, ...next }), replace: true });
  const records = list.state === "ready" ? list.value.pages.flatMap((page) => page.records) : [];
  return (
    <div className={styles.page}>
      <h1>{words("records_label")}</h1>
      <div className={styles.filters}>
        <Field
          label={words("records_person")}
          value={address.person ?? ""}
          onChange={(person) => change({ person: person || undefined })}
        />
        <Field
          label={words("records_camera")}
          value={String(address.camera ?? "")}
          onChange={(text) => change({ camera: Number(text) > 0 ? Number(text) : undefined })}
        />
        <Choice
          label={words("records_action")}
          value={address.action ?? "any"}
          options={[
            { value: "any", text: words("records_any") },
            ...ACTIONS.map((value) => ({ value, text: words(`action_${value}`) })),
          ]}
          onChange={(action) => change({ action: action === "any" ? undefined : action })}
        />
      </div>
      {list.state === "loading" && <p>{words("loading")}</p>}
      {list.state === "failed" && <NoticeBox notice={list.notice} />}
      {list.state === "ready" && records.length === 0 && <p className={styles.well}>{words("records_none")}</p>}
      {records.length > 0 && <Table records={records} />}
      {query.hasNextPage && (
        <div>
          <Button onPress={() => query.fetchNextPage()} isDisabled={query.isFetchingNextPage}>
            {words("records_more")}
          </Button>
        </div>
      )}
    </div>
  );
}

function Table({ records }: { records: readonly AccessRecord[] }) {
  const words = useWords();
  const nowUs = nodeNowUs();
  const action = (word: string) => (ACTIONS.some((known) => known === word) ? words(`action_${word}` as Key) : word);
  const bound = (us?: number) => (us === undefined ? words("records_open") : moment(us, nowUs));
  const asked = (question: string) => (question === "feed" ? words("records_feed") : question);
  return (
    <div className={styles.scroll}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th>{words("records_at")}</th>
            <th>{words("records_person")}</th>
            <th>{words("records_from")}</th>
            <th>{words("records_action")}</th>
            <th>{words("column_number")}</th>
            <th>{words("records_window")}</th>
            <th>{words("records_purpose")}</th>
            <th data-figure>{words("records_bytes")}</th>
          </tr>
        </thead>
        <tbody>
          {records.map((record) => (
            <tr key={record.seq}>
              <td>{moment(record.at_us, nowUs)}</td>
              <td>
                {record.display} {record.display !== record.person && <span className={styles.dim}>{record.person}</span>}
              </td>
              <td className={styles.dim}>{record.from}</td>
              <td className={record.refused ? styles.bad : undefined}>
                {action(record.action)}
                {record.refused && ` · ${words("records_refused")}`}
                {record.question && <div className={styles.dim}>{asked(record.question)}</div>}
              </td>
              <td>{record.cameras.join(", ")}</td>
              <td>{record.window ? `${bound(record.window.from_us)} – ${bound(record.window.to_us)}` : words("nav_wall")}</td>
              <td className={styles.wrap}>
                {record.purpose.category && `${words(categoryKey(record.purpose.category))} · `}
                {record.purpose.text}
                {record.purpose.case && ` · ${record.purpose.case}`}
              </td>
              <td data-figure>{record.bytes == null ? "—" : `${(record.bytes / 1e6).toFixed(1)} MB`}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
