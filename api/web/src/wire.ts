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
  retention: string;
  driver?: string | null;
  streams: CameraStream[];
};

export type Cameras = { cameras: Camera[]; as_of_us: UtcMicros };

/** from, to, code (0 is recorded, else a gap cause), recorded share of the interval 0..1. */
export type CoverageInterval = [UtcMicros, UtcMicros, number, number];
export type CoverageRow = { camera: number; stream: StreamKind; first_us?: UtcMicros | null; intervals: CoverageInterval[] };
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
  /** What was opened; absent for live. */
  window?: { from_us: UtcMicros; to_us: UtcMicros };
  purpose: { category: PurposeCategory | null; text: string; case: string | null };
  /** Why it was refused; absent if it was admitted. */
  refused?: string;
  ended_us: UtcMicros | null;
  bytes: number | null;
};
export type AccessRecords = { records: AccessRecord[]; next_before_seq: number | null };
