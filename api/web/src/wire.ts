/** The shapes of the node's JSON, field for field as the routes of `api` write them. Times are microseconds UTC. */
import type { Both } from "./i18n";

export type UtcMicros = number;
export type StreamKind = "main" | "sub";
export type PurposeCategory = "duty" | "incident" | "request" | "maintenance" | "training";
export type Purpose = { category: PurposeCategory; text: string };
export type Role = "operator" | "auditor" | "admin";

export type Me = {
  person: { name: string; display: string; roles: Role[] };
  must_change_password: boolean;
  purpose?: Purpose | null;
  server_us?: UtcMicros;
  node?: { name: string; tier: string };
};

export type StreamState = {
  word: string;
  since_us?: UtcMicros | null;
  cause?: string | null;
  sentence?: Both | null;
  remedy?: Both | null;
};

export type CameraStream = {
  kind: StreamKind;
  /** Only for those who may change cameras. */
  address?: string;
  state: StreamState;
  codec?: string | null;
  width?: number | null;
  height?: number | null;
  fps?: number | null;
  gop_s?: number | null;
  kbit_s?: number | null;
  last_unit_us?: UtcMicros | null;
  recorded_to_us?: UtcMicros | null;
};

export type Camera = {
  id: number;
  name: string;
  place: string[];
  initials: string;
  enabled: boolean;
  retention: RetentionClass;
  priority: Priority;
  transport: Transport;
  /** As configured, or as the probe chose. */
  driver?: Driver | null;
  /** As configured; `null` lets the probe choose. */
  driver_wanted: Driver | null;
  /** The ONVIF device service whose events are pulled, for who may change cameras. */
  onvif?: string | null;
  /** The legal basis for recording sound; `null`: no sound is asked for. */
  audio: string | null;
  has_password: boolean;
  /** Where it can be changed. */
  managed: "api" | "config";
  streams: CameraStream[];
};

/** What was seen: a class, never an individual. */
export type ObjectClass =
  | "person"
  | "vehicle"
  | "car"
  | "truck"
  | "bus"
  | "motorcycle"
  | "bicycle"
  | "animal"
  | "thing"
  | "fire"
  | "smoke"
  | "other";

export type RetentionClass = "standard" | "key_target";
export type Priority = "low" | "normal" | "key";
export type Transport = "tcp" | "udp";
export type Driver = "retina" | "libav" | "native";

/** All of a camera's settings. `user` and `password` left out: what is known stays; an empty user forgets it. */
export type CameraWish = Pick<Camera, "id" | "name" | "place" | "transport" | "retention" | "priority" | "audio" | "enabled"> & {
  main: string;
  sub: string | null;
  onvif: string | null;
  driver: Driver | null;
  user?: string;
  password?: string;
};

export type RightsScope = "everything" | { place: string[] } | { camera: number };
export type Account = {
  name: string;
  display: string;
  unit: string;
  roles: Role[];
  scopes: RightsScope[];
  disabled: boolean;
  must_change_password: boolean;
};
export type People = { people: Account[] };
/** Left out is left as it is. */
export type AccountWish = Partial<Pick<Account, "name" | "display" | "unit" | "roles" | "scopes" | "disabled">>;
export type OneTime = { name: string; one_time_password: string };

/** A camera that is no longer recorded and has footage left. */
export type RemovedCamera = {
  id: number;
  name: string;
  place: string[];
  initials: string;
  removed_us: UtcMicros;
  streams: { kind: StreamKind; recorded_from_us: UtcMicros; recorded_to_us: UtcMicros }[];
};
export type Cameras = { cameras: Camera[]; removed?: RemovedCamera[]; as_of_us: UtcMicros };

/** from, to, code (0 is recorded, else a gap cause), recorded share of the interval 0..1. */
export type CoverageInterval = [UtcMicros, UtcMicros, number, number];
export type CoverageRow = {
  camera: number;
  stream: StreamKind;
  first_us?: UtcMicros | null;
  intervals: CoverageInterval[];
  /** What the place that knows the cause added, by index of the interval: "deleted by rule R at T" is one. */
  details?: [number, string][];
};
export type Coverage = {
  from_us: UtcMicros;
  to_us: UtcMicros;
  as_of_us: UtcMicros;
  rows: CoverageRow[];
  causes: Record<string, { word: string } & Both>;
};

export type FragmentEntry = { from_us: UtcMicros; to_us: UtcMicros; key: boolean; init: string; uri: string; bytes: number };
export type Fragments = { fragments: FragmentEntry[] };

export type ExportFile = { camera: number; name: string; uri: string; bytes: number; sha256: string; state: string };
/** `files` and `manifest` when it is done, `refusal` when it failed. */
export type ExportJob = {
  id: string;
  state: "queued" | "running" | "done" | "failed";
  progress: number;
  files: ExportFile[];
  manifest: string | null;
  refusal: { code: string; state: Both; remedy: Both } | null;
};

export type Problem = {
  kind: string;
  camera: number | null;
  since_us: UtcMicros | null;
  severity: string;
  state: Both;
  remedy: Both;
};

export type Volume = {
  name: string;
  path: string;
  state: string;
  direct_io: boolean;
  total_bytes: number;
  /** What is left for new footage before the oldest is recycled. */
  free_bytes: number;
  commit_ms_p99: number;
  sentence: Both | null;
  remedy: Both | null;
};

export type Health = {
  as_of_us: UtcMicros;
  node: { name: string; tier: string; version: string };
  volumes: Volume[];
  cameras: { recording: number; total: number };
  problems: Problem[];
};

export type AccessRecord = {
  seq: number;
  at_us: UtcMicros;
  person: string;
  display: string;
  from: string;
  cameras: number[];
  action: string;
  /** What was opened or searched; absent for live. A bound that is absent is open. */
  window?: { from_us?: UtcMicros; to_us?: UtcMicros };
  purpose: { category: PurposeCategory | null; text: string; case: string | null };
  /** What was searched for, in one line; `feed` is following what comes. */
  question?: string;
  /** Why it was refused; absent if it was admitted. */
  refused?: string;
  ended_us: UtcMicros | null;
  bytes: number | null;
};
export type AccessRecords = { records: AccessRecord[]; next_before_seq: number | null };

export type LedgerBy = "camera_day" | "place_day";
/** Seconds of one camera or place on one day. `completeness` is recorded of expected, 0..1; null where nothing was expected. */
export type LedgerRow = {
  camera?: number;
  name?: string;
  place?: string[];
  /** No longer recorded since then; what was before counts all the same. */
  removed_us?: UtcMicros;
  day?: string;
  from_us?: UtcMicros;
  to_us?: UtcMicros;
  cameras: number;
  window_s: number;
  expected_s: number;
  recorded_s: number;
  missing_s: number;
  partial_s: number;
  units_lost: number;
  completeness: number | null;
  /** Seconds by cause, only those above 0. */
  gaps: Record<string, number>;
};
export type Ledger = {
  from_us: UtcMicros;
  to_us: UtcMicros;
  as_of_us: UtcMicros;
  zone: string;
  definitions: Record<string, Both>;
  causes: Record<string, Both>;
  rows: LedgerRow[];
  total: Omit<LedgerRow, "camera" | "name" | "place" | "day">;
};

export type RetentionOfVolume = {
  name: string;
  capacity_bytes: number;
  used_bytes: number;
  held_bytes: number;
  rate_bytes_per_day: number;
  full_us: UtcMicros | null;
  breach_us: UtcMicros | null;
};
export type RetentionOfCamera = {
  camera: number;
  name: string;
  place: string[];
  class: RetentionClass;
  term_s: number;
  oldest_us: UtcMicros | null;
  achieved_s: number;
  /** null: not recorded for long enough to say; false: the disks refused, lost or damaged what should be there. */
  kept: boolean | null;
  lost_s: number;
  rate_bytes_per_day: number;
  held_bytes: number;
};
export type Retention = {
  as_of_us: UtcMicros;
  /** Nothing is deleted since then: the clock is in doubt. */
  frozen_us: UtcMicros | null;
  quota_bytes: number;
  held_bytes: number;
  classes: { class: RetentionClass; term_s: number; cameras: number; achieved_s_min: number | null }[];
  volumes: RetentionOfVolume[];
  cameras: RetentionOfCamera[];
  breach_us: UtcMicros | null;
  sentence: Both | null;
  remedy: Both | null;
};

export type May = { request: boolean; approve: boolean };
export type HoldState = "requested" | "active" | "declined" | "released" | "expired" | "lapsed";
type Order = {
  id: number;
  cameras: number[];
  from_us: UtcMicros;
  to_us: UtcMicros;
  reason: string;
  authority: string;
  requested_by: string;
  requested_us: UtcMicros;
  approved_by: string | null;
  approved_us: UtcMicros | null;
};
export type Hold = Order & {
  state: HoldState;
  release_requested_by: string | null;
  ended_by: string | null;
  ended_us: UtcMicros | null;
  expires_us: UtcMicros;
  bytes: number;
};
export type Holds = { quota_bytes: number; held_bytes: number; may: May; holds: Hold[] };
export type ErasureState = "requested" | "approved" | "done" | "declined" | "lapsed";
export type Erasure = Order & {
  state: ErasureState;
  done_us: UtcMicros | null;
  fragments: number;
  bytes: number;
  kept_by_hold: number;
};
export type Erasures = { may: May; erasures: Erasure[] };
/** What is asked for; `expires_us` for a hold only. */
export type OrderWish = Pick<Order, "cameras" | "from_us" | "to_us" | "reason" | "authority"> & { expires_us?: UtcMicros };

/** When something moved in a region. */
export type MotionAnswer = {
  spans: { camera: number; from_us: UtcMicros; to_us: UtcMicros; pictures: number }[];
  /** For the next page. */
  next: string | null;
  coverage: {
    from_us: UtcMicros;
    to_us: UtcMicros;
    cameras: { camera: number; share: number; unseen: [UtcMicros, UtcMicros][]; more: boolean }[];
  };
};
export type MotionWish = {
  cameras: number;
  from_us: UtcMicros;
  to_us: UtcMicros;
  cells?: string | undefined;
  limit?: number;
  after?: string | undefined;
};
/** For each column, in percent of the time that was looked at; -1 where nobody looked. */
export type MotionDensity = { from_us: UtcMicros; to_us: UtcMicros; rows: { camera: number; moved: number[] }[] };
export type Urgency = "urgent" | "high" | "medium";
export type Alarm = {
  id: string;
  event: string;
  rule: number;
  rule_name: string;
  urgency: Urgency;
  kind: string;
  kind_name: Both;
  camera: number | null;
  name: string;
  place: string[];
  text: Both;
  at_us: UtcMicros;
  raised_us: UtcMicros;
  last_us: UtcMicros;
  /** Events after the first. */
  repeats: number;
  acknowledged: { by: string; at_us: UtcMicros } | null;
};
export type Tier = "room" | "subdistrict" | "district";
export type IncidentPriority = "p1" | "p2" | "p3";
export type IncidentStage =
  | "new"
  | "acknowledged"
  | "reopened"
  | "verified"
  | "dispatched"
  | "arrived"
  | "resolved"
  | "closed"
  | "false"
  | "merged";
export type Incident = {
  id: string;
  number: string;
  priority: IncidentPriority;
  stage: IncidentStage;
  /** The unit, code, reason or other incident that belongs to the stage. */
  detail: string | null;
  tier: Tier;
  owner: { name: string; display: string; here: boolean } | null;
  home: string;
  home_name: string | null;
  kind: string | null;
  kind_name: Both | null;
  text: Both;
  camera: number | null;
  name: string;
  place: string[];
  happened_us: UtcMicros;
  opened_us: UtcMicros;
  /** When its clock is over; null if none runs. */
  due_us: UtcMicros | null;
  since_us: UtcMicros;
  shelved_until_us: UtcMicros | null;
  escalations: number;
  clashes: number;
  ended_us: UtcMicros | null;
  version: number;
};
export type IncidentEffect = "done" | "done_over" | "clash" | "nothing";
export type IncidentEntry = {
  at_us: UtcMicros;
  by: string | null;
  author: "person" | "clock" | "rule";
  tier: Tier;
  node_name: string | null;
  what: string;
  detail: string | null;
  effect: IncidentEffect;
};
export type IncidentDetail = Incident & {
  history: IncidentEntry[];
  evidence: { camera: number; from_us: UtcMicros; to_us: UtcMicros; hold: number | null }[];
  alarm: string | null;
  event: string | null;
  now_us: UtcMicros;
};
export type IncidentQueue = "mine" | Tier | "shelved" | "closed";
export type Incidents = {
  incidents: Incident[];
  next: string | null;
  counts: Record<IncidentQueue, number> & { overdue: number };
  figures: { opened_day: number; closed_day: number; acknowledge_median_s: number | null; opened_10_min: number };
  tier: Tier;
  upper: Tier | null;
  node: string;
  person: string;
  units: string[];
  now_us: UtcMicros;
  shed: number;
  refused: number;
};
export type IncidentWish = {
  priority: IncidentPriority;
  camera?: string;
  kind?: string;
  text?: string;
  event?: string;
  node?: string;
  name?: string;
  place?: string[];
  happened_us?: UtcMicros;
};
export type IncidentDeed =
  | { do: "acknowledge" | "verify" | "arrive" | "resolve" | "escalate" | "unshelve" | "reopen" | "undo" }
  | { do: "dispatch"; unit: string }
  | { do: "close"; code: string }
  | { do: "dismiss"; reason: string }
  | { do: "shelve"; minutes: number; reason: string }
  | { do: "merge"; into: string }
  | { do: "note"; text: string }
  | { do: "attach"; camera: string; from_us: UtcMicros; to_us: UtcMicros; hold?: number };
export type ShiftNote = {
  node_name: string;
  tier: Tier;
  from_us: UtcMicros;
  to_us: UtcMicros;
  person: string;
  display: string;
  opened: number;
  closed: number;
  acknowledge_median_s: number | null;
  open: Incident[];
  shelved: Incident[];
  notes: { at_us: UtcMicros; number: string; by: string | null; text: string }[];
  offline: { camera: number; name: string; place: string[] }[];
  hand_overs: HandOver[];
  colleagues: { name: string; display: string }[];
};
export type HandOver = {
  seq: number;
  at_us: UtcMicros;
  by: string;
  to: string;
  for_me: boolean;
  remarks: string;
  open: number;
  taken_us: UtcMicros | null;
};
/** Hours on the district's clocks, both ends included, past midnight if `to_hour` is smaller; days Monday first. */
export type Schedule = { from_hour: number; to_hour: number; days: boolean[] };
export type Rule = {
  id: number;
  name: string;
  enabled: boolean;
  kinds: string[];
  severity: EventSeverity;
  under: string[];
  cameras: number[];
  text: string;
  schedule: Schedule;
  urgency: Urgency;
  opens_incident?: boolean;
  group_s: number;
  hold_off_s: number;
};
export type RuleWish = Omit<Rule, "id">;
export type Rules = { rules: Rule[]; budget_per_day: number };
/** A message to another system that was laid aside. */
export type HookAside = {
  seq: number;
  /** null: an earlier version laid it aside. */
  since_us: UtcMicros | null;
  attempts: number;
  why: Both;
  /** `alarm.raised` or `alarm.acknowledged`; null if the journal has it no more. */
  kind: string | null;
  alarm: { camera?: number | null; name?: string; rule_name?: string; by?: unknown } | null;
};
export type Hooks = { hooks: { name: string; taken: number; failing: string | null; aside: HookAside[]; left: number }[] };
export type RuleRate = {
  days: { from_us: UtcMicros; events: number; alarms: number }[];
  counted_from_us: UtcMicros;
  /** null: less than an hour is known. */
  alarms_per_day: number | null;
  budget_per_day: number;
};

export type EventSeverity = "info" | "notice" | "warning" | "alarm";
export type FoundEvent = {
  id: string;
  node: string;
  seq: number;
  time_us: UtcMicros;
  received_us: UtcMicros;
  kind: string;
  kind_name: Both;
  severity: EventSeverity;
  camera: number | null;
  /** Where it is about several: those that one may see. */
  cameras: number[];
  name: string;
  place: string[];
  text: Both;
  /** Left, top, right, bottom of the picture, each 0..1. */
  region: [number, number, number, number] | null;
  objects: { class: ObjectClass; count: number }[];
  source: { name: string; topic: string | null; id: string | null };
};
/** Not `complete`: only what happened since `counted_from_us` is counted. */
export type EventHistogram = {
  step_s: number;
  from_us: UtcMicros;
  counts: number[];
  complete: boolean;
  counted_from_us: UtcMicros | null;
};
export type EventCoverage = {
  indexed_to_seq: number;
  journal_seq: number;
  /** 0 before anything is indexed. */
  indexed_to_us: UtcMicros;
  lag_s: number;
  complete: boolean;
  /** From when to when events are known; null when none is. */
  days: { from_us: UtcMicros; to_us: UtcMicros } | null;
  rebuilding: boolean;
  problem: string | null;
  /** This node first; at a centre, then each node below. */
  sources: EventSource[];
};
export type EventSource = {
  node: string;
  /** What people call it; this node itself has none. */
  name?: string;
  state: "current" | "behind" | "failed" | "missing";
  lag_s: number;
  /** Of a node below: all that was kept there until then, by its clock, was looked through; null when nothing ever came. */
  covered_to_us?: UtcMicros | null;
  /** Why it is missing. */
  reason?: { code: string; state: Both; remedy: Both; grave: boolean } | null;
};
export type EventsAnswer = {
  events: FoundEvent[];
  /** Cursor of the older ones. */
  next: number | null;
  /** Not exact: at least so many. */
  total: { count: number; exact: boolean };
  /** How the text was understood when nothing matched as written. */
  corrected: null | "homophone" | "one_character" | "short_form" | "words";
  facets: null | { kinds: [string, number][]; severities: [string, number][]; cameras: [number, number][]; hours: number[] };
  histogram: EventHistogram | null;
  coverage: EventCoverage;
};
export type EventKinds = { kind: string; name: Both; severity: EventSeverity }[];
export type EventsWish = {
  text?: string;
  place?: string;
  cameras?: string;
  kinds?: string;
  severity?: EventSeverity;
  from_us?: UtcMicros;
  to_us?: UtcMicros;
  hours?: string;
  limit?: number;
  before?: number;
  facets?: 1;
  histogram_s?: number | undefined;
};

export type ReportStep = "day" | "week" | "month";
export type ReportLevel = "room" | "subdistrict" | "district";
export type ReportMeasure = "completeness" | "online" | "retention" | "faults" | "acknowledge";
/** Of those that came so far. */
export type ReportTook = { count: number; median_s: number | null; p95_s: number | null };
export type ReportIncidents = {
  /** null: all kinds. */
  kind: string | null;
  raised: number;
  acknowledge: ReportTook;
  arrive: ReportTook;
  close: ReportTook;
};
/** Microseconds and counts, summed over rooms and days. */
export type ReportFigures = {
  cameras: number;
  expected_us: number;
  recorded_us: number;
  watched_us: number;
  online_us: number;
  promised_us: number;
  kept_us: number;
  short: number;
  gaps_us?: Record<string, number>;
  faults?: Record<string, number>;
  faulty_us: number;
};
export type ReportRow = {
  /** null: all together. */
  node: string | null;
  name: string;
  days: number;
  /** Days that are under way. */
  running: number;
  missing: string[];
  figures: ReportFigures;
  /** Left out where there is nothing to divide by. */
  values: Partial<Record<ReportMeasure, number>>;
  ranks: Partial<Record<ReportMeasure, number>>;
  all: ReportIncidents;
  incidents: ReportIncidents[];
};
export type ReportPeriod = { from: string; to: string; rows: ReportRow[]; total: ReportRow };
export type ReportRoom = {
  node: string;
  name: string;
  above: string;
  above_name: string;
  covered_to_us: UtcMicros | null;
  current: boolean;
  reason: { code: string; state: Both; remedy: Both; grave: boolean } | null;
};
export type ReportAnswer = {
  from: string;
  to: string;
  step: ReportStep;
  level: ReportLevel;
  name: string;
  zone: string;
  as_of_us: UtcMicros;
  definitions: Record<string, Both>;
  words: Record<string, Both>;
  periods: ReportPeriod[];
  rooms: ReportRoom[];
};
export type ReportWish = { from: string; to: string; step: ReportStep; level: ReportLevel; under?: string };
