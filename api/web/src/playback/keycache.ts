/** Key units already fetched, by camera and second asked. Pure, bounded: the oldest used goes first. */
import type { Configuration } from "../media/frame";
import type { UtcMicros } from "../wire";

export type CachedUnit = { unitUs: UtcMicros; data: Uint8Array; configuration: Configuration };
/** `undefined`: not known yet. `null`: asked, and there is no picture. */
export type Lookup = CachedUnit | null | undefined;

/** One answer serves this much time: half of the shortest usual group of pictures. */
export const SLOT_US = 1e6;
const PER_CAMERA = 300;

export const slotOf = (us: UtcMicros) => Math.floor(us / SLOT_US);
/** The instant asked of the node for a slot: its last microsecond, so that any key unit inside it is found. */
export const askFor = (slot: number): UtcMicros => (slot + 1) * SLOT_US - 1;

export class KeyCache {
  #cameras = new Map<number, Map<number, CachedUnit | null>>();

  get(camera: number, us: UtcMicros): Lookup {
    const slots = this.#cameras.get(camera);
    const slot = slotOf(us);
    const found = slots?.get(slot);
    if (slots && found !== undefined) {
      slots.delete(slot);
      slots.set(slot, found);
    }
    return found;
  }

  has(camera: number, slot: number): boolean {
    return this.#cameras.get(camera)?.has(slot) ?? false;
  }

  put(camera: number, us: UtcMicros, unit: CachedUnit | null): void {
    const slots = this.#cameras.get(camera) ?? new Map<number, CachedUnit | null>();
    this.#cameras.set(camera, slots);
    slots.set(slotOf(us), unit);
    for (const oldest of slots.keys()) {
      if (slots.size <= PER_CAMERA) break;
      slots.delete(oldest);
    }
  }

  /** "No picture" is only remembered while it cannot change: near the live edge footage still arrives. */
  forgetNone(afterUs: UtcMicros): void {
    for (const slots of this.#cameras.values()) {
      for (const [slot, unit] of slots) if (unit === null && slot >= slotOf(afterUs)) slots.delete(slot);
    }
  }
}

/** Slots to ask for around a pointer at `us` that moves by `strideSlots` a step: this one, then those ahead. */
export function wantedSlots(cache: KeyCache, camera: number, us: UtcMicros, strideSlots: number, ahead: number): number[] {
  const slot = slotOf(us);
  const wanted: number[] = [];
  for (let step = 0; step <= ahead; step++) {
    const next = slot + step * strideSlots;
    if (!cache.has(camera, next)) wanted.push(next);
  }
  return wanted;
}
