/** `/incidents?q=room&i=…&n=1&c=7&t=…`: the queue, the open incident; and what a new one is to begin with. */
import type { IncidentQueue } from "../wire";

export const QUEUES: readonly IncidentQueue[] = ["mine", "room", "subdistrict", "district", "shelved", "closed"];
export type IncidentsAddress = {
  q?: IncidentQueue;
  i?: string;
  /** Opening a new one: at this camera, about this kind and event of this node, which happened then (seconds UTC). */
  n?: "1";
  c?: string;
  k?: string;
  e?: string;
  h?: string;
  /** What the camera is called, and where it stands, levels parted by slashes: a centre does not know by itself. */
  m?: string;
  p?: string;
  t?: number;
};

export function readIncidents(search: Record<string, unknown>): IncidentsAddress {
  const address: IncidentsAddress = {};
  const queue = QUEUES.find((one) => one === search.q);
  if (queue) address.q = queue;
  const text = (name: "i" | "c" | "k" | "e" | "h") => {
    if (search[name] !== undefined && /^[\w.-]{1,100}$/.test(String(search[name]))) address[name] = String(search[name]);
  };
  for (const name of ["i", "c", "k", "e", "h"] as const) text(name);
  for (const name of ["m", "p"] as const) {
    if (typeof search[name] === "string" && search[name].length <= 300) address[name] = search[name];
  }
  if (String(search.n) === "1") address.n = "1";
  const at = Number(search.t);
  if (Number.isFinite(at) && at > 0) address.t = at;
  return address;
}
