/** Which fragments a player needs next. Pure: the list as the node gave it, the instant to show, what is appended already. */
import type { FragmentEntry, UtcMicros } from "../wire";

/** Fragments kept in order of time, each once. */
export class FragmentList {
  #entries: FragmentEntry[] = [];
  #known: { fromUs: UtcMicros; toUs: UtcMicros }[] = [];

  get entries(): readonly FragmentEntry[] {
    return this.#entries;
  }

  /** The node's answer for a span. A later answer for the same span replaces nothing and adds what is new. */
  add(entries: readonly FragmentEntry[], fromUs: UtcMicros, toUs: UtcMicros): void {
    const uris = new Set(this.#entries.map((entry) => entry.uri));
    this.#entries.push(...entries.filter((entry) => !uris.has(entry.uri)));
    this.#entries.sort((a, b) => a.from_us - b.from_us);
    this.#known.push({ fromUs, toUs });
  }

  /** True when the node has been asked about all of this span. */
  covers(fromUs: UtcMicros, toUs: UtcMicros): boolean {
    let at = fromUs;
    for (const known of [...this.#known].sort((a, b) => a.fromUs - b.fromUs)) {
      if (known.fromUs > at) return false;
      at = Math.max(at, known.toUs);
      if (at >= toUs) return true;
    }
    return at >= toUs;
  }

  /** The fragment that holds an instant. */
  at(us: UtcMicros): FragmentEntry | undefined {
    return this.#entries.find((entry) => entry.from_us <= us && us < entry.to_us);
  }

  /** The key fragment that decoding must start from to show `us`, then everything up to `untilUs`, in order. */
  needed(us: UtcMicros, untilUs: UtcMicros): FragmentEntry[] {
    let start = 0;
    for (const [index, entry] of this.#entries.entries()) {
      if (entry.from_us > us) break;
      if (entry.key) start = index;
    }
    return this.#entries.slice(start).filter((entry) => entry.from_us < untilUs && entry.to_us > us - LONGEST_GOP_US);
  }
}

/** Decoding starts at most this much before the instant wanted; longer groups of pictures are refused at the camera. */
export const LONGEST_GOP_US = 12e6;
