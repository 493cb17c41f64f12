/** Holds, which keep footage past its term, and erasures, which delete it before: each asked by one person, approved by another. */
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useSearch } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import { Dialog, Heading, Modal, ModalOverlay } from "react-aria-components";
import { api, type Done, fetched, type Notice, nodeNowUs } from "../api";
import health from "../health/Health.module.css";
import { type Key, useWords } from "../i18n";
import { useMe } from "../session";
import { moment, span } from "../time";
import { Button, Field, NoticeBox } from "../ui/controls";
import controls from "../ui/controls.module.css";
import { bytes } from "../ui/figures";
import type { Erasures as ErasuresAnswer, Holds as HoldsAnswer, OrderWish, UtcMicros } from "../wire";
import styles from "./Keeping.module.css";
import { erasureMoves, holdMoves, localText, type OrderDraft, orderOf } from "./orders";
import { Tabs } from "./Tabs";

const EVERY_MS = 15_000;
/** What a new hold proposes: long enough for an inquiry, short enough to be looked at again. */
const HOLD_FOR_US = 90 * 86_400e6;

export function Holds() {
  const words = useWords();
  const { me } = useMe();
  const queries = useQueryClient();
  const [notice, setNotice] = useState<Notice>();
  const [releasing, setReleasing] = useState<number>();
  const holds = fetched(
    useQuery<HoldsAnswer>({ queryKey: ["holds"], queryFn: ({ signal }) => api.holds(signal), refetchInterval: EVERY_MS }),
  );
  const settle = (done: Done<unknown>) => {
    setNotice(done.state === "failed" ? done.notice : undefined);
    queries.invalidateQueries({ queryKey: ["holds"] });
  };
  return (
    <div className={health.page}>
      <Tabs />
      <Head
        title="tab_holds"
        why="holds_why"
        ask={holds.state === "ready" && holds.value.may.request ? "holds_ask" : undefined}
        expires
        send={(wish) => api.addHold(wish)}
        onSent={() => queries.invalidateQueries({ queryKey: ["holds"] })}
      />
      {notice && <NoticeBox notice={notice} />}
      {holds.state === "loading" && <p>{words("loading")}</p>}
      {holds.state === "failed" && <NoticeBox notice={holds.notice} />}
      {holds.state === "ready" && (
        <>
          <p className={health.dim}>
            {words("holds_quota")} {bytes(holds.value.held_bytes)} / {bytes(holds.value.quota_bytes)}
          </p>
          {holds.value.holds.length === 0 && <p className={health.well}>{words("holds_none")}</p>}
          <ul className={styles.orders}>
            {[...holds.value.holds].sort(waitingFirst).map((hold) => (
              <OrderRow key={hold.id} order={hold} state={words(`hold_${hold.state}`)}>
                <span>{words("holds_until", { time: moment(hold.expires_us, nodeNowUs()), bytes: bytes(hold.bytes) })}</span>
                {hold.release_requested_by && hold.state === "active" && (
                  <strong>{words("holds_release_asked", { person: hold.release_requested_by })}</strong>
                )}
                {hold.ended_us !== null && (
                  <span className={health.dim}>
                    {words("holds_ended", { person: hold.ended_by ?? "—", time: moment(hold.ended_us, nodeNowUs()) })}
                  </span>
                )}
                <span className={styles.acts}>
                  {holdMoves(hold, holds.value.may, me?.person.name ?? "").map((move) => (
                    <Button
                      key={move}
                      look={move === "approve" ? "primary" : "button"}
                      onPress={async () =>
                        move === "release" ? setReleasing(hold.id) : settle(await api.moveHold(hold.id, move, ""))
                      }
                    >
                      {words(`order_${move}`)}
                    </Button>
                  ))}
                </span>
              </OrderRow>
            ))}
          </ul>
        </>
      )}
      {releasing !== undefined && (
        <Why
          title={words("holds_release_title", { id: releasing })}
          onClose={() => setReleasing(undefined)}
          onReason={async (reason) => {
            settle(await api.moveHold(releasing, "release", reason));
            setReleasing(undefined);
          }}
        />
      )}
    </div>
  );
}

export function Erasures() {
  const words = useWords();
  const { me } = useMe();
  const queries = useQueryClient();
  const [notice, setNotice] = useState<Notice>();
  const erasures = fetched(
    useQuery<ErasuresAnswer>({
      queryKey: ["erasures"],
      queryFn: ({ signal }) => api.erasures(signal),
      refetchInterval: EVERY_MS,
    }),
  );
  const settle = (done: Done<unknown>) => {
    setNotice(done.state === "failed" ? done.notice : undefined);
    queries.invalidateQueries({ queryKey: ["erasures"] });
  };
  return (
    <div className={health.page}>
      <Tabs />
      <Head
        title="tab_erasures"
        why="erasures_why"
        ask={erasures.state === "ready" && erasures.value.may.request ? "erasures_ask" : undefined}
        send={(wish) => api.addErasure(wish)}
        onSent={() => queries.invalidateQueries({ queryKey: ["erasures"] })}
      />
      {notice && <NoticeBox notice={notice} />}
      {erasures.state === "loading" && <p>{words("loading")}</p>}
      {erasures.state === "failed" && <NoticeBox notice={erasures.notice} />}
      {erasures.state === "ready" && (
        <>
          {erasures.value.erasures.length === 0 && <p className={health.well}>{words("erasures_none")}</p>}
          <ul className={styles.orders}>
            {[...erasures.value.erasures].sort(waitingFirst).map((erasure) => (
              <OrderRow key={erasure.id} order={erasure} state={words(`erasure_${erasure.state}`)}>
                {erasure.done_us !== null && (
                  <span>
                    {words("erasures_done", {
                      time: moment(erasure.done_us, nodeNowUs()),
                      n: erasure.fragments,
                      bytes: bytes(erasure.bytes),
                    })}
                  </span>
                )}
                {erasure.kept_by_hold > 0 && <strong>{words("erasures_kept", { n: erasure.kept_by_hold })}</strong>}
                <span className={styles.acts}>
                  {erasureMoves(erasure, erasures.value.may, me?.person.name ?? "").map((move) => (
                    <Button
                      key={move}
                      look={move === "approve" ? "primary" : "button"}
                      onPress={async () => settle(await api.moveErasure(erasure.id, move))}
                    >
                      {words(`order_${move}`)}
                    </Button>
                  ))}
                </span>
              </OrderRow>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

type Listed = {
  id: number;
  state: string;
  cameras: number[];
  from_us: UtcMicros;
  to_us: UtcMicros;
  reason: string;
  authority: string;
  requested_by: string;
  requested_us: UtcMicros;
  approved_by: string | null;
};

const WAITING = ["requested", "active", "approved"];
const rank = ({ state }: Listed) => (WAITING.indexOf(state) + 1 || WAITING.length + 1) - 1;
const waitingFirst = (a: Listed, b: Listed) => rank(a) - rank(b) || b.requested_us - a.requested_us;

function OrderRow({ order, state, children }: { order: Listed; state: string; children: ReactNode }) {
  const words = useWords();
  const nowUs = nodeNowUs();
  return (
    <li className={styles.order} data-state={order.state} data-order={order.id}>
      <div>
        <strong>
          #{order.id} {state} · {words("order_cameras", { cameras: order.cameras.join(", ") })}
        </strong>
        <span>
          {moment(order.from_us, nowUs)} – {moment(order.to_us, nowUs)} · {span((order.to_us - order.from_us) / 1000)}
        </span>
        <span>
          {order.reason} <span className={health.dim}>· {order.authority}</span>
        </span>
        <span className={health.dim}>
          {words("order_by", { person: order.requested_by, time: moment(order.requested_us, nowUs) })}
          {order.approved_by && ` · ${words("order_approved_by", { person: order.approved_by })}`}
        </span>
      </div>
      <div>{children}</div>
    </li>
  );
}

function Head({
  title,
  why,
  ask,
  expires = false,
  send,
  onSent,
}: {
  title: Key;
  why: Key;
  ask: Key | undefined;
  expires?: boolean;
  send(wish: OrderWish): Promise<Done<unknown>>;
  onSent(): void;
}) {
  const words = useWords();
  const address = useSearch({ strict: false }) as { c?: string };
  // Playback leads here with its marks: the form is what was meant.
  const [asking, setAsking] = useState(address.c !== undefined);
  return (
    <>
      <div className={health.titleRow}>
        <div>
          <h1>{words(title)}</h1>
          <p className={health.dim}>{words(why)}</p>
        </div>
        {ask && (
          <Button look="primary" onPress={() => setAsking(true)}>
            {words(ask)}
          </Button>
        )}
      </div>
      {asking && ask && (
        <OrderForm
          title={words(ask)}
          expires={expires}
          send={send}
          onClose={(sent) => {
            setAsking(false);
            if (sent) onSent();
          }}
        />
      )}
    </>
  );
}

function OrderForm({
  title,
  expires,
  send,
  onClose,
}: {
  title: string;
  expires: boolean;
  send(wish: OrderWish): Promise<Done<unknown>>;
  onClose(sent: boolean): void;
}) {
  const words = useWords();
  const { c = "", i, o } = useSearch({ strict: false }) as { c?: string; i?: number; o?: number };
  const [draft, setDraft] = useState<OrderDraft>(() => ({
    cameras: c,
    from: localText(i === undefined ? nodeNowUs() - 3600e6 : i * 1e6),
    to: localText(o === undefined ? nodeNowUs() : o * 1e6),
    reason: "",
    authority: "",
    expires: localText(nodeNowUs() + HOLD_FOR_US),
  }));
  const [wrong, setWrong] = useState<keyof OrderDraft>();
  const [notice, setNotice] = useState<Notice>();
  const [busy, setBusy] = useState(false);
  const text = (name: keyof OrderDraft) => ({
    name,
    value: draft[name],
    onChange: (value: string) => setDraft((old) => ({ ...old, [name]: value })),
    invalid: wrong === name,
  });
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const order = orderOf(draft, expires);
    setWrong("wrong" in order ? order.wrong : undefined);
    if ("wrong" in order) return;
    setBusy(true);
    const done = await send(order.wish);
    setBusy(false);
    if (done.state === "failed") setNotice(done.notice);
    else onClose(true);
  };
  return (
    <ModalOverlay isOpen onOpenChange={(open) => !open && onClose(false)} className={controls.veil ?? ""}>
      <Modal className={controls.dialog ?? ""}>
        <Dialog>
          <form className={controls.form} onSubmit={submit} noValidate>
            <Heading slot="title" level={2}>
              {title}
            </Heading>
            <Field {...text("cameras")} label={words("order_numbers")} placeholder="1042, 1043" isRequired autoFocus />
            <div className={styles.pair}>
              <Field {...text("from")} label={words("order_from")} type="datetime-local" step={1} isRequired />
              <Field {...text("to")} label={words("order_to")} type="datetime-local" step={1} isRequired />
            </div>
            <Field {...text("reason")} label={words("order_reason")} maxLength={200} isRequired />
            <Field {...text("authority")} label={words("order_authority")} maxLength={200} isRequired />
            {expires && <Field {...text("expires")} label={words("order_expires")} type="datetime-local" step={1} isRequired />}
            {wrong && <p role="alert">{words("order_wrong", { field: words(WRONG[wrong]) })}</p>}
            {notice && <NoticeBox notice={notice} />}
            <div className={controls.actions}>
              <Button onPress={() => onClose(false)}>{words("cancel")}</Button>
              <Button type="submit" look="primary" isDisabled={busy}>
                {words("order_send")}
              </Button>
            </div>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}

const WRONG: Record<keyof OrderDraft, Key> = {
  cameras: "order_numbers",
  from: "order_from",
  to: "order_to",
  reason: "order_reason",
  authority: "order_authority",
  expires: "order_expires",
};

/** One reason, asked before an act that must have one. */
function Why({ title, onReason, onClose }: { title: string; onReason(reason: string): void; onClose(): void }) {
  const words = useWords();
  const [reason, setReason] = useState("");
  return (
    <ModalOverlay isOpen onOpenChange={(open) => !open && onClose()} className={controls.veil ?? ""}>
      <Modal className={controls.dialog ?? ""}>
        <Dialog>
          <form
            className={controls.form}
            onSubmit={(event) => {
              event.preventDefault();
              onReason(reason.trim());
            }}
          >
            <Heading slot="title" level={2}>
              {title}
            </Heading>
            <Field
              label={words("order_reason")}
              value={reason}
              onChange={setReason}
              name="why"
              maxLength={200}
              isRequired
              autoFocus
            />
            <div className={controls.actions}>
              <Button onPress={onClose}>{words("cancel")}</Button>
              <Button type="submit" look="primary">
                {words("order_release")}
              </Button>
            </div>
          </form>
        </Dialog>
      </Modal>
    </ModalOverlay>
  );
}
