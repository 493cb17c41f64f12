/** Events chosen together: what exporting them means. Pure. */
import type { FoundEvent, UtcMicros } from "../wire";

/** What led to an event, and what came of it. */
const BEFORE_US = 5e6;
const AFTER_US = 15e6;

export type Chosen = { cameras: { id: number; name: string }[]; fromUs: UtcMicros; toUs: UtcMicros };

export function toggledIn(chosen: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(chosen);
  if (!next.delete(id)) next.add(id);
  return next;
}

/** One span that holds all of them, of all their cameras; `undefined` if none is about a camera. */
export function exportOf(events: readonly FoundEvent[]): Chosen | undefined {
  const seen = events.filter((event): event is FoundEvent & { camera: number } => event.camera !== null);
  if (seen.length === 0) return undefined;
  const times = seen.map(({ time_us }) => time_us);
  const names = new Map(seen.map(({ camera, name }) => [camera, name]));
  const cameras = [...names].map(([id, name]) => ({ id, name })).sort((a, b) => a.id - b.id);
  return { cameras, fromUs: Math.min(...times) - BEFORE_US, toUs: Math.max(...times) + AFTER_US };
}
