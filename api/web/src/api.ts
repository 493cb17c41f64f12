/**
 * The only module that fetches. A call answers with a value or with a notice an operator can act on; it never throws for what
 * the network or the node may do. Whatever is shown carries the time it was true (`asOf`).
 */
import type { Both } from "./i18n";
import { somebodyIsHere } from "./presence";
import type {
  AccessRecords,
  AccountWish,
  Cameras,
  CameraWish,
  Coverage,
  Erasure,
  Erasures,
  EventKinds,
  EventsAnswer,
  EventsWish,
  ExportJob,
  Fragments,
  HandOver,
  Health,
  Hold,
  Holds,
  Hooks,
  IncidentDeed,
  IncidentDetail,
  IncidentQueue,
  Incidents,
  IncidentWish,
  Ledger,
  LedgerBy,
  Me,
  MotionAnswer,
  MotionDensity,
  MotionWish,
  OneTime,
  OrderWish,
  People,
  Purpose,
  ReportAnswer,
  ReportWish,
  Retention,
  RuleRate,
  Rules,
  RuleWish,
  ShiftNote,
  StreamKind,
  UtcMicros,
} from "./wire";

/** What an operator reads when something cannot be had: the state, then the remedy. `code` is stable, for the page's own rules. */
export type Notice = { status: number; code: string; state: Both; remedy: Both; field?: string; retryAfterS?: number };

export type Fetched<T> =
  | { state: "loading" }
  | { state: "ready"; value: T; asOf: UtcMicros }
  | { state: "failed"; notice: Notice };

/** Thrown inside queries only, so that the query library sees a failure; views read the notice from it. */
export class Refused extends Error {
  constructor(readonly notice: Notice) {
    super(notice.code);
  }
}

const UNREACHABLE: Notice = {
  status: 0,
  code: "unreachable",
  state: { zh: "与服务器断开", en: "The server cannot be reached" },
  remedy: { zh: "页面会自动重连；录像不受影响", en: "The page reconnects by itself; recording is not affected" },
};

/** The node's clock minus this machine's, in microseconds, from the answer with the shortest round trip lately. */
let clockOffsetUs = 0;
let bestTripMs = Number.POSITIVE_INFINITY;

export function nodeNowUs(): UtcMicros {
  return Math.round((performance.timeOrigin + performance.now()) * 1000 + clockOffsetUs);
}

export function learnClock(serverUs: UtcMicros, sentMs: number, receivedMs: number): void {
  const tripMs = receivedMs - sentMs;
  // An old best is forgotten little by little, so that a corrected clock is believed within minutes.
  bestTripMs = Math.min(bestTripMs * 1.2 + 1, Number.MAX_VALUE);
  if (tripMs > bestTripMs) return;
  bestTripMs = tripMs;
  clockOffsetUs = serverUs - (performance.timeOrigin + (sentMs + receivedMs) / 2) * 1000;
}

/** An answer that has not begun by then is as good as none: a node that hangs must look lost, not slow. */
const PATIENCE_MS = 10_000;
const PATIENCE_FOR_LIFE_MS = 4000;
/** A month of every camera is summed before the answer begins. */
const PATIENCE_FOR_SUMS_MS = 25_000;

async function request(
  method: string,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
  patienceMs = PATIENCE_MS,
): Promise<Response> {
  const patience = AbortSignal.timeout(patienceMs);
  // A change always carries it: other sites cannot send it. A poll carries it while somebody is here.
  const headers: Record<string, string> = method !== "GET" || somebodyIsHere() ? { "x-haohe": "1" } : {};
  if (body !== undefined) headers["content-type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(`/api/v1${path}`, {
      method,
      headers,
      credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(UNREACHABLE);
  }
  if (!response.ok) throw new Refused(await noticeOf(response));
  return response;
}

export async function noticeOf(response: Response): Promise<Notice> {
  const body = (await response.json().catch(() => ({}))) as Partial<Notice> & { retry_after_s?: number };
  return {
    status: response.status,
    code: body.code ?? `http_${response.status}`,
    state: body.state ?? { zh: "服务器未能完成请求", en: "The server could not do this" },
    remedy: body.remedy ?? { zh: "请稍后再试；如仍失败，请联系维护人员", en: "Try again; if it fails again, call maintenance" },
    ...(body.field && { field: body.field }),
    ...(body.retry_after_s !== undefined && { retryAfterS: body.retry_after_s }),
  };
}

async function json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal, patienceMs?: number): Promise<T> {
  const response = await request(method, path, body, signal, patienceMs);
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

/** The outcome of an act: done, or a notice. */
export type Done<T> = { state: "done"; value: T } | { state: "failed"; notice: Notice };

async function act<T>(call: Promise<T>): Promise<Done<T>> {
  try {
    return { state: "done", value: await call };
  } catch (error) {
    return { state: "failed", notice: error instanceof Refused ? error.notice : UNREACHABLE };
  }
}

function query(values: Record<string, string | number | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== undefined && value !== "") search.set(name, String(value));
  return search.size > 0 ? `?${search}` : "";
}

export const api = {
  async me(signal?: AbortSignal): Promise<Me> {
    const sentMs = performance.now();
    const me = await json<Me>("GET", "/me", undefined, signal, PATIENCE_FOR_LIFE_MS);
    if (me.server_us) learnClock(me.server_us, sentMs, performance.now());
    return me;
  },
  signIn: (name: string, password: string, purpose: Purpose) => act(json<Me>("POST", "/login", { name, password, purpose })),
  signOut: () => act(json<void>("POST", "/logout", {})),
  changePassword: (old: string, fresh: string) => act(json<void>("POST", "/me/password", { old, new: fresh })),
  declarePurpose: (purpose: Purpose) => act(json<void>("PUT", "/me/purpose", purpose)),
  cameras: (signal?: AbortSignal) => json<Cameras>("GET", "/cameras", undefined, signal),
  addCamera: (wish: CameraWish) => act(json<void>("POST", "/cameras", wish)),
  changeCamera: (wish: CameraWish) => act(json<void>("PUT", `/cameras/${wish.id}`, wish)),
  removeCamera: (id: number) => act(json<void>("DELETE", `/cameras/${id}`)),
  people: (signal?: AbortSignal) => json<People>("GET", "/people", undefined, signal),
  addPerson: (wish: AccountWish) => act(json<OneTime>("POST", "/people", wish)),
  changePerson: (name: string, wish: AccountWish) => act(json<void>("PUT", `/people/${encodeURIComponent(name)}`, wish)),
  newPassword: (name: string) => act(json<OneTime>("POST", `/people/${encodeURIComponent(name)}/password`, {})),
  health: (signal?: AbortSignal) => json<Health>("GET", "/health", undefined, signal),
  coverage: (
    wanted: { cameras: number[]; stream: StreamKind; from_us: UtcMicros; to_us: UtcMicros; px: number },
    signal?: AbortSignal,
  ) => json<Coverage>("GET", `/coverage${query({ ...wanted, cameras: wanted.cameras.join(",") })}`, undefined, signal),
  fragments: (camera: number, stream: StreamKind, from_us: UtcMicros, to_us: UtcMicros, signal?: AbortSignal) =>
    json<Fragments>("GET", `/fragments/${camera}/${stream}${query({ from_us, to_us })}`, undefined, signal),
  /** Bytes of an init segment or a fragment, by the address the node gave. */
  async bytes(uri: string, signal?: AbortSignal): Promise<ArrayBuffer> {
    const patience = AbortSignal.timeout(PATIENCE_MS);
    const response = await fetch(uri, {
      credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
    if (!response.ok) throw new Refused(await noticeOf(response));
    return response.arrayBuffer();
  },
  keyUnits: (stream: StreamKind, wants: { camera: number; at_us: UtcMicros[] }[], signal?: AbortSignal) =>
    request("POST", "/key-units", { stream, wants }, signal),
  /** Making the files of a long span takes as long as reading it. */
  export: (wanted: {
    cameras: number[];
    stream: StreamKind;
    from_us: UtcMicros;
    to_us: UtcMicros;
    reason: string;
    case: string;
  }) => act(json<ExportJob>("POST", "/exports", wanted, undefined, 30 * 60_000)),
  exportJob: (id: string, signal?: AbortSignal) =>
    json<ExportJob>("GET", `/exports/${encodeURIComponent(id)}`, undefined, signal),
  events: (wish: EventsWish, signal?: AbortSignal) => json<EventsAnswer>("GET", `/events${query(wish)}`, undefined, signal),
  /** The picture of the last key unit before an instant, as JPEG. */
  still: async (camera: number, stream: StreamKind, at_us: UtcMicros, width: number, signal?: AbortSignal): Promise<Blob> =>
    (await request("GET", `/stills/${camera}${query({ stream, at_us, width })}`, undefined, signal)).blob(),
  eventKinds: (signal?: AbortSignal) => json<EventKinds>("GET", "/events/kinds", undefined, signal),
  motion: (wish: MotionWish, signal?: AbortSignal) =>
    json<MotionAnswer>("GET", `/motion${query(wish)}`, undefined, signal, PATIENCE_FOR_SUMS_MS),
  density: (wanted: { cameras: number[]; from_us: UtcMicros; to_us: UtcMicros; columns: number }, signal?: AbortSignal) =>
    json<MotionDensity>("GET", `/motion/density${query({ ...wanted, cameras: wanted.cameras.join(",") })}`, undefined, signal),
  acknowledge: (id: string) => act(json<void>("POST", `/alarms/${encodeURIComponent(id)}/acknowledge`, {})),
  incidents: (queue: IncidentQueue, limit: number, signal?: AbortSignal) =>
    json<Incidents>("GET", `/incidents${query({ queue, limit })}`, undefined, signal),
  incident: (id: string, signal?: AbortSignal) =>
    json<IncidentDetail>("GET", `/incidents/${encodeURIComponent(id)}`, undefined, signal),
  openIncident: (wish: IncidentWish) => act(json<IncidentDetail>("POST", "/incidents", wish)),
  moveIncident: (id: string, version: number, deed: IncidentDeed) =>
    act(json<IncidentDetail>("POST", `/incidents/${encodeURIComponent(id)}/moves`, { version, ...deed })),
  shiftNote: (signal?: AbortSignal) => json<ShiftNote>("GET", "/shift-note", undefined, signal),
  handOver: (to: string, remarks: string) => act(json<HandOver>("POST", "/shift-note", { to, remarks })),
  takeOver: (seq: number) => act(json<HandOver>("POST", `/shift-note/${seq}/take`, {})),
  rules: (signal?: AbortSignal) => json<Rules>("GET", "/rules", undefined, signal),
  addRule: (wish: RuleWish) => act(json<void>("POST", "/rules", wish)),
  changeRule: (id: number, wish: RuleWish) => act(json<void>("PUT", `/rules/${id}`, wish)),
  removeRule: (id: number) => act(json<void>("DELETE", `/rules/${id}`)),
  /** How often a rule would have called lately; nothing is saved. */
  ruleRate: (wish: RuleWish, signal?: AbortSignal) => json<RuleRate>("POST", "/rules/rate", wish, signal, PATIENCE_FOR_SUMS_MS),
  hooks: (signal?: AbortSignal) => json<Hooks>("GET", "/hooks", undefined, signal),
  /** The receiver may think as long as the node lets it. */
  sendHookAgain: (hook: string, seq: number) =>
    act(json<void>("POST", `/hooks/${encodeURIComponent(hook)}/messages/${seq}/send`, {}, undefined, PATIENCE_FOR_SUMS_MS)),
  discardHookMessage: (hook: string, seq: number) =>
    act(json<void>("POST", `/hooks/${encodeURIComponent(hook)}/messages/${seq}/discard`, {})),
  ledger: (
    wanted: { from_us: UtcMicros; to_us: UtcMicros; by: LedgerBy; stream: StreamKind; place?: string; levels?: number },
    signal?: AbortSignal,
  ) => json<Ledger>("GET", `/ledger${query(wanted)}`, undefined, signal, PATIENCE_FOR_SUMS_MS),
  reports: (wish: ReportWish, signal?: AbortSignal) =>
    json<ReportAnswer>("GET", `/reports${query(wish)}`, undefined, signal, PATIENCE_FOR_SUMS_MS),
  retention: (signal?: AbortSignal) => json<Retention>("GET", "/retention", undefined, signal),
  holds: (signal?: AbortSignal) => json<Holds>("GET", "/holds", undefined, signal),
  addHold: (wish: OrderWish) => act(json<Hold>("POST", "/holds", wish)),
  moveHold: (id: number, move: "approve" | "decline" | "release", reason: string) =>
    act(json<Hold>("POST", `/holds/${id}/${move}`, move === "release" ? { reason } : {})),
  erasures: (signal?: AbortSignal) => json<Erasures>("GET", "/erasures", undefined, signal),
  addErasure: (wish: OrderWish) => act(json<Erasure>("POST", "/erasures", wish)),
  moveErasure: (id: number, move: "approve" | "decline") => act(json<Erasure>("POST", `/erasures/${id}/${move}`, {})),
  accessRecords: (
    filter: {
      person?: string;
      camera?: number;
      action?: string;
      from_us?: number;
      to_us?: number;
      before_seq?: number;
      limit?: number;
    },
    signal?: AbortSignal,
  ) => json<AccessRecords>("GET", `/access-records${query(filter)}`, undefined, signal),
};

/** What a view shows for a query: the union of style.md's `Fetched`, from what the query library knows. */
export function fetched<T>(result: { data?: T | undefined; error: unknown; dataUpdatedAt: number }): Fetched<T> {
  if (result.data !== undefined) return { state: "ready", value: result.data, asOf: result.dataUpdatedAt * 1000 };
  if (result.error) {
    return { state: "failed", notice: result.error instanceof Refused ? result.error.notice : UNREACHABLE };
  }
  return { state: "loading" };
}

/** The same report to take away; that it was is noted. */
export const reportUrl = (wish: ReportWish, format: "csv" | "html", lang: string) =>
  `/api/v1/reports.${format}${query({ ...wish, lang })}`;

const socketUrl = (path: string) => `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/api/v1${path}`;
export const mediaUrl = () => socketUrl("/media");
/** New events after a record's number; without one, from now on. */
export const feedUrl = (after: number | undefined) => socketUrl(`/feed${query({ after })}`);
