/** Searching events: one line of words and filters, the shape of the answer over time, results newest first, and what it covers. */
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { Form } from "react-aria-components";
import { api, fetched, nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { useWords } from "../i18n";
import { ExportDialog } from "../playback/ExportDialog";
import { mayWatch, useMe } from "../session";
import { Button, Choice, Field, NoticeBox } from "../ui/controls";
import { useKeyTable } from "../ui/keys";
import type { EventKinds, EventSeverity, EventsAnswer, FoundEvent } from "../wire";
import { type EventsAddress, kindsOf, RANGES, type Range, SEVERITIES, setFilters, toggled, wishOf } from "./address";
import { Coverage } from "./Coverage";
import { exportOf, toggledIn } from "./chosen";
import styles from "./Events.module.css";
import { useFeed } from "./feed";
import { Grid, useCheapStream } from "./Grid";
import { Histogram } from "./Histogram";
import { Preview } from "./Preview";
import { Results } from "./Results";

const PAGE = 50;
/** Playback opens this much before the event: what led to it is seen. */
const LEAD_S = 5;
/** A storm of events asks again at most this often. */
const FRESH_EVERY_MS = 1000;
const ERROR_PLACE = { status: 0, code: "", state: { zh: "", en: "" }, remedy: { zh: "", en: "" } };

export function Events() {
  const words = useWords();
  const { me } = useMe();
  const address = useSearch({ from: "/events" });
  const go = useNavigate({ from: "/events" });
  const change = (next: Partial<EventsAddress>) => go({ search: (old) => ({ ...old, ...next }), replace: true });
  const [selected, setSelected] = useState(0);
  const [fresh, setFresh] = useState(0);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [exporting, setExporting] = useState(false);
  const wish = wishOf(address, nodeNowUs());
  const query = useInfiniteQuery({
    queryKey: ["events", wish],
    queryFn: ({ signal, pageParam }) =>
      api.events(
        {
          ...wish,
          limit: PAGE,
          ...(pageParam ? { before: pageParam } : { facets: 1 }),
          ...(pageParam && { histogram_s: undefined }),
        },
        signal,
      ),
    initialPageParam: 0,
    getNextPageParam: (last: EventsAnswer) => last.next ?? undefined,
    placeholderData: keepPreviousData,
  });
  const answer = fetched(query);
  const first = answer.state === "ready" ? answer.value.pages[0] : undefined;
  const events = answer.state === "ready" ? answer.value.pages.flatMap((page) => page.events) : [];
  const at = Math.min(selected, Math.max(0, events.length - 1));

  // New events that the question may include are asked for, not guessed; whoever has walked down the list is only told.
  const live = address.t === undefined;
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const refresh = () => {
    setFresh(0);
    setSelected(0);
    void query.refetch();
  };
  const feed = useFeed(() => {
    if (!live) return;
    setFresh((count) => count + 1);
    if (at > 0) return;
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      setFresh(0);
      void query.refetch();
    }, FRESH_EVERY_MS);
  });

  const open = (event: FoundEvent | undefined) => {
    if (!event || event.camera === null || !me || !mayWatch(me)) return false;
    go({ to: "/playback", search: { c: String(event.camera), t: event.time_us / 1e6 - LEAD_S, z: 120 } });
  };
  const watch = me !== undefined && mayWatch(me);
  const streamOf = useCheapStream();
  const play = (event: FoundEvent | undefined) => (event && watch ? void change({ e: event.id }) : false);
  const shown = events.find(({ id }) => id === address.e);
  const select = (index: number) => {
    if (index < 0 || events.length === 0) return;
    if (index >= events.length - 5 && query.hasNextPage && !query.isFetchingNextPage) void query.fetchNextPage();
    setSelected(Math.min(index, events.length - 1));
  };
  // Without any chosen, the selected one is meant.
  const meant = events.filter(({ id }, index) => (chosen.size > 0 ? chosen.has(id) : index === at));
  const wanted = watch ? exportOf(meant) : undefined;
  useKeyTable("events", {
    search: () => document.querySelector<HTMLInputElement>("input[name='q']")?.focus(),
    next: () => select(at + 1),
    previous: () => select(at - 1),
    play: () => (document.activeElement?.closest("button:not([data-event]), a") ? false : play(events[at])),
    open: () => open(events[at]),
    close: () => (address.e === undefined ? false : void change({ e: undefined })),
    choose: () => {
      const event = events[at];
      return event?.camera === null || !event || !watch ? false : setChosen(toggledIn(chosen, event.id));
    },
    export: () => (wanted ? setExporting(true) : false),
    view: () => void change({ w: address.w ? undefined : "table" }),
    range({ code }) {
      const range = (Object.keys(RANGES) as Range[])[Number(code.slice(-1)) - 1];
      if (!range) return false;
      change({ r: range, f: undefined, t: undefined });
    },
    newest: refresh,
    incident() {
      const event = events[at];
      if (!event || !watch) return false;
      const [camera] = event.camera === null ? event.cameras : [event.camera];
      const about = { k: event.kind, e: event.id, h: event.node, m: event.name, p: event.place.join("/") };
      go({ to: "/incidents", search: { n: "1", ...about, t: event.time_us / 1e6, ...(camera && { c: String(camera) }) } });
    },
  });

  const List = address.w === "table" ? Results : Grid;
  return (
    <div className={styles.page}>
      <div className={styles.head}>
        <h1 className="unseen">{words("events_label")}</h1>
        <Ask key={address.q ?? ""} text={address.q ?? ""} onAsk={(q) => change({ q: q || undefined })} />
        <Choice
          label={words("events_range")}
          value={address.f === undefined ? (address.r ?? "24h") : "own"}
          options={[
            ...(Object.keys(RANGES) as Range[]).map((value) => ({ value: value as string, text: words(`range_${value}`) })),
            ...(address.f === undefined ? [] : [{ value: "own", text: words("range_own") }]),
          ]}
          onChange={(value) => value !== "own" && change({ r: value as Range, f: undefined, t: undefined })}
        />
        <Choice<EventSeverity>
          label={words("events_severity")}
          value={address.v ?? "info"}
          options={SEVERITIES.map((value) => ({ value, text: words(`severity_from_${value}`) }))}
          onChange={(v) => change({ v: v === "info" ? undefined : v })}
        />
        <Narrow address={address} change={change} />
      </div>
      <Kinds address={address} first={first} onToggle={(kind) => change({ k: toggled(address, kind) })} />
      {first?.histogram && (
        <Histogram histogram={first.histogram} onSpan={(f, t) => change({ f: Math.floor(f), t: Math.ceil(t), r: undefined })} />
      )}
      <div className={styles.line} role="status">
        {first && (
          <strong>
            {words(first.total.exact ? "events_total" : "events_total_least", { n: first.total.count.toLocaleString("en-US") })}
          </strong>
        )}
        {query.isPlaceholderData && events.length > 0 && <span>{words("events_stale")}</span>}
        {first?.corrected && <span>{words(`corrected_${first.corrected}`)}</span>}
        {first && <Coverage coverage={first.coverage} />}
        <span className={styles.spring} />
        {chosen.size > 0 && (
          <>
            <span>{words("events_chosen", { n: chosen.size })}</span>
            <Button look="primary" isDisabled={!wanted} onPress={() => setExporting(true)}>
              {words("playback_export")}
            </Button>
            <Button look="quiet" onPress={() => setChosen(new Set())}>
              {words("events_choose_none")}
            </Button>
          </>
        )}
        {live && fresh > 0 && at > 0 && (
          <Button look="primary" onPress={refresh}>
            ↑ {words("events_fresh", { n: fresh })}
          </Button>
        )}
        {live && <span className={health.dim}>{words(`feed_${feed}`)}</span>}
        <Choice
          label={words("events_view")}
          value={address.w ?? "grid"}
          options={[
            { value: "grid", text: words("events_grid") },
            { value: "table", text: words("events_table") },
          ]}
          onChange={(value) => change({ w: value === "table" ? "table" : undefined })}
        />
      </div>
      {answer.state === "failed" && <NoticeBox notice={answer.notice} />}
      {answer.state === "ready" && query.error && <NoticeBox notice={noticeOf(query.error)} />}
      {answer.state === "loading" && <p>{words("loading")}</p>}
      {answer.state === "ready" && events.length === 0 && <Nothing address={address} change={change} />}
      {events.length > 0 && (
        <div className={styles.found}>
          <List
            events={events}
            at={at}
            playing={shown?.id}
            chosen={chosen}
            stale={query.isPlaceholderData || query.error !== null}
            mayWatch={watch}
            onSelect={select}
            onPlay={play}
            onOpen={open}
            more={query.hasNextPage ? () => void query.fetchNextPage() : undefined}
          />
          {shown && watch && (
            <Preview
              key={shown.id}
              event={shown}
              stream={shown.camera === null ? undefined : streamOf(shown.camera)}
              onOpen={() => open(shown)}
              onClose={() => change({ e: undefined })}
            />
          )}
        </div>
      )}
      {exporting && wanted && <ExportDialog {...wanted} onClose={() => setExporting(false)} />}
    </div>
  );
}

const noticeOf = (error: unknown) => {
  const failed = fetched<never>({ error, dataUpdatedAt: 0 });
  return failed.state === "failed" ? failed.notice : ERROR_PLACE;
};

/** The line of words. Enter asks; so does leaving it alone for a moment. */
function Ask({ text, onAsk }: { text: string; onAsk(text: string): void }) {
  const words = useWords();
  const [typed, setTyped] = useState(text);
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onAsk(typed.trim());
    (document.activeElement as HTMLElement | null)?.blur();
  };
  return (
    <Form onSubmit={submit} className={styles.ask ?? ""} role="search">
      <Field
        label={words("events_search")}
        value={typed}
        onChange={setTyped}
        name="q"
        placeholder={words("events_hint")}
        autoComplete="off"
      />
      <Button type="submit" look="primary">
        {words("events_act")}
      </Button>
    </Form>
  );
}

/** Cameras, place and hours of the day: less often wanted than the rest, so folded away until they are. */
function Narrow({ address, change }: { address: EventsAddress; change(next: Partial<EventsAddress>): void }) {
  const words = useWords();
  const some = address.c !== undefined || address.p !== undefined || address.h !== undefined;
  const [open, setOpen] = useState(some);
  const [cameras, setCameras] = useState(address.c ?? "");
  const [place, setPlace] = useState(address.p ?? "");
  const [hours, setHours] = useState(address.h ?? "");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change({ c: cameras || undefined, p: place || undefined, h: hours || undefined });
  };
  if (!open) return <Button onPress={() => setOpen(true)}>+ {words("events_narrow")}</Button>;
  return (
    <Form onSubmit={submit} className={styles.narrow ?? ""}>
      <Field label={words("order_numbers")} value={cameras} onChange={setCameras} name="cameras" placeholder="1042, 1043" />
      <Field
        label={words("column_place")}
        value={place}
        onChange={setPlace}
        name="place"
        placeholder={words("camera_place_hint")}
      />
      <Field label={words("events_hours")} value={hours} onChange={setHours} name="hours" placeholder="22-6" />
      <Button type="submit">{words("events_act")}</Button>
    </Form>
  );
}

/** Kinds as chips with their counts: the commonest of the answer, and those chosen. */
function Kinds({
  address,
  first,
  onToggle,
}: {
  address: EventsAddress;
  first: EventsAnswer | undefined;
  onToggle(kind: string): void;
}) {
  const words = useWords();
  const known = useQuery<EventKinds>({
    queryKey: ["event-kinds"],
    queryFn: ({ signal }) => api.eventKinds(signal),
    staleTime: 3600_000,
  });
  const chosen = kindsOf(address);
  const counts = new Map(first?.facets?.kinds ?? []);
  const shown = [...new Set([...chosen, ...counts.keys()])];
  if (shown.length === 0) return null;
  const name = (kind: string) => {
    const found = known.data?.find((one) => one.kind === kind);
    return found ? words.of(found.name) : kind;
  };
  return (
    <ul className={styles.kinds} aria-label={words("events_kinds")}>
      {shown.map((kind) => (
        <li key={kind}>
          <button type="button" className={styles.chip} aria-pressed={chosen.includes(kind)} onClick={() => onToggle(kind)}>
            {name(kind)} {counts.has(kind) && <span>{counts.get(kind)}</span>}
          </button>
        </li>
      ))}
    </ul>
  );
}

/** An empty answer names what could be taken away. */
function Nothing({ address, change }: { address: EventsAddress; change(next: Partial<EventsAddress>): void }) {
  const words = useWords();
  const filters = setFilters(address);
  return (
    <div className={styles.nothing}>
      <p>{words("events_none")}</p>
      {filters.map((name) => (
        <Button key={name} onPress={() => change({ [name]: undefined })}>
          {words("events_without", {
            filter: name === "v" ? words(`severity_from_${address.v ?? "info"}`) : String(address[name]),
          })}
        </Button>
      ))}
      {address.r !== "30d" && (
        <Button onPress={() => change({ r: "30d", f: undefined, t: undefined })}>{words("events_wider")}</Button>
      )}
    </div>
  );
}
