/**
 * Key units already fetched, by camera and second asked. Pure, bounded: the oldest used goes first.
 *
 * One key unit answers every second from its own to the one it was asked for, and every second up to the next key unit. The
 * second is known only where both are: when the two are no further apart than this camera's key units usually are, there is
 * none between. So a camera with a key unit every two seconds is asked about every other second only.
 */
import type { Configuration } from "../media/frame";
import type { UtcMicros } from "../wire";

export type CachedUnit = { unitUs: UtcMicros; data: Uint8Array; configuration: Configuration };
/** `undefined`: not known yet. `null`: asked, and there is no picture. */
export type Lookup = CachedUnit | null | undefined;

/** One answer serves this much time at least. */
export const SLOT_US = 1e6;
const PER_CAMERA = 300;
/** No further than this is looked for a neighbour: longer intervals are refused at the camera. */
const REACH_SLOTS = 12;
/** Key units this much further apart than usual may still be neighbours: cameras are not that exact. */
const SLACK = 1.2;

export const slotOf = (us: UtcMicros) => Math.floor(us / SLOT_US);
/** The instant asked of the node for a slot: its last microsecond, so that any key unit inside it is found. */
export const askFor = (slot: number): UtcMicros => (slot + 1) * SLOT_US - 1;

type Slots = Map<number, CachedUnit | null>;

export class KeyCache {
  #cameras = new Map<number, Slots>();
  /** The shortest time between two key units of a camera that are known to be neighbours. */
  #intervals = new Map<number, number>();

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
    const asked = slotOf(us);
    slots.set(asked, unit);
    if (unit) this.#spread(camera, slots, asked, unit);
    for (const oldest of slots.keys()) {
      if (slots.size <= PER_CAMERA) break;
      slots.delete(oldest);
    }
  }

  /** Seconds from one key unit of a camera to the next, whole and at least 1. */
  interval(camera: number): number {
    return Math.max(1, Math.floor(((this.#intervals.get(camera) ?? 0) * 1.05) / SLOT_US));
  }

  /** "No picture" is only remembered while it cannot change: near the live edge footage still arrives. */
  forgetNone(afterUs: UtcMicros): void {
    for (const slots of this.#cameras.values()) {
      for (const [slot, unit] of slots) if (unit === null && slot >= slotOf(afterUs)) slots.delete(slot);
    }
  }

  #spread(camera: number, slots: Slots, asked: number, unit: CachedUnit): void {
    const own = Math.max(slotOf(unit.unitUs), asked - REACH_SLOTS);
    fill(slots, own, asked, unit);
    const [before, after] = [neighbour(slots, own, -1), neighbour(slots, asked, 1)];
    for (const [slot, other] of [before, after]) {
      const apart = Math.abs(other?.unitUs ? other.unitUs - unit.unitUs : 0);
      if (!other || apart === 0) continue;
      // Answers to two seconds in a row are neighbours; so are two that are no further apart than neighbours were.
      const touching = slot === own - 1 || slot === asked + 1;
      const usual = this.#intervals.get(camera) ?? Number.POSITIVE_INFINITY;
      if (touching) this.#intervals.set(camera, Math.min(usual, apart));
      else if (apart <= usual * SLACK && usual !== Number.POSITIVE_INFINITY) {
        if (slot < own) fill(slots, slot, own - 1, other);
        else fill(slots, asked, slotOf(other.unitUs) - 1, unit);
      }
    }
  }
}

function fill(slots: Slots, from: number, to: number, unit: CachedUnit): void {
  for (let slot = from; slot <= to; slot++) if (slots.get(slot) === undefined) slots.set(slot, unit);
}

/** The nearest second that is known, in one direction. */
function neighbour(slots: Slots, from: number, direction: 1 | -1): [number, Lookup] {
  for (let slot = from + direction; Math.abs(slot - from) <= REACH_SLOTS; slot += direction) {
    const found = slots.get(slot);
    if (found !== undefined) return [slot, found];
  }
  return [from, undefined];
}

/** Slots to ask for around a pointer at `us`: its own, then those that its movement leads to (`strideSlots` a step). A pointer that
 * has not moved yet may go either way. */
export function wantedSlots(cache: KeyCache, camera: number, us: UtcMicros, strideSlots: number, ahead: number): number[] {
  const slot = slotOf(us);
  const far = Math.max(Math.abs(strideSlots), cache.interval(camera));
  const steps = Array.from({ length: ahead }, (_, index) => {
    if (strideSlots !== 0) return (index + 1) * far * Math.sign(strideSlots);
    return (Math.floor(index / 2) + 1) * far * (index % 2 === 0 ? 1 : -1);
  });
  return [0, ...steps].map((step) => slot + step).filter((next) => !cache.has(camera, next));
}
