/**
 * Stills of found events: a few at once, each asked for only while somebody can see its place, the newest kept. Every still that the node
 * gives stands in its register, so none is asked for twice while it is kept, and none for a row that was scrolled past. Pure but for
 * what it is given.
 */
import { Refused } from "../api";
import type { Both } from "../i18n";
import type { StreamKind, UtcMicros } from "../wire";

export type Still =
  | { state: "waiting" }
  | { state: "shown"; url: string }
  /** What the node said instead: that nothing is recorded then, or why it cannot be shown. `recorded`: there is no footage. */
  | { state: "none"; recorded: boolean; says: Both };

export type StillWish = { camera: number; stream: StreamKind; at_us: UtcMicros };

/** Decoding one takes the node some tens of milliseconds, and playback comes first. */
const AT_ONCE = 3;
/** More than any list shows at once. */
const KEPT = 240;
/** A node that is busy is asked again, so many times, after so long. */
const AGAIN = 4;
const AGAIN_MS = 800;

const UNREACHABLE: Both = { zh: "无法取得画面", en: "The picture cannot be had" };

type Listener = (still: Still) => void;
type Entry = { wish: StillWish; still: Still; listeners: Set<Listener>; abort: AbortController | undefined };

export class Stills {
  #entries = new Map<string, Entry>();
  #queue: string[] = [];
  #running = 0;

  constructor(
    private readonly fetch: (wish: StillWish, signal: AbortSignal) => Promise<string>,
    private readonly forget: (url: string) => void,
    private readonly wait: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
  ) {}

  /** Tells the still as it is and becomes, until the answer is called: then nobody looks any more. */
  look(wish: StillWish, listener: Listener): () => void {
    const key = `${wish.camera}/${wish.stream}/${wish.at_us}`;
    const known = this.#entries.get(key);
    const entry: Entry = known ?? { wish, still: { state: "waiting" }, listeners: new Set(), abort: undefined };
    // At the end: the newest looked at goes last.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.listeners.add(listener);
    listener(entry.still);
    if (entry.still.state === "waiting" && !entry.abort && !this.#queue.includes(key)) this.#queue.push(key);
    this.#next();
    return () => {
      entry.listeners.delete(listener);
      if (entry.listeners.size > 0 || entry.still.state !== "waiting") return;
      this.#queue = this.#queue.filter((one) => one !== key);
      entry.abort?.abort();
      this.#entries.delete(key);
    };
  }

  #next(): void {
    while (this.#running < AT_ONCE) {
      const key = this.#queue.shift();
      const entry = key === undefined ? undefined : this.#entries.get(key);
      if (key === undefined) return;
      if (!entry) continue;
      this.#running += 1;
      entry.abort = new AbortController();
      void this.#take(entry, entry.abort.signal).finally(() => {
        this.#running -= 1;
        this.#evict();
        this.#next();
      });
    }
  }

  async #take(entry: Entry, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        const url = await this.fetch(entry.wish, signal);
        if (signal.aborted) return this.forget(url);
        return this.#tell(entry, { state: "shown", url });
      } catch (error) {
        if (signal.aborted) return;
        const notice = error instanceof Refused ? error.notice : undefined;
        const busy = notice?.status === 503 || notice?.status === 429;
        if (!busy || attempt >= AGAIN) {
          return this.#tell(entry, { state: "none", recorded: notice?.status !== 404, says: notice?.state ?? UNREACHABLE });
        }
        await this.wait(AGAIN_MS * attempt);
        if (signal.aborted) return;
      }
    }
  }

  #tell(entry: Entry, still: Still): void {
    entry.still = still;
    for (const listener of entry.listeners) listener(still);
  }

  /** The longest not looked at go first; what somebody sees stays. */
  #evict(): void {
    for (const [key, { still, listeners }] of this.#entries) {
      if (this.#entries.size <= KEPT) return;
      if (listeners.size > 0 || still.state === "waiting") continue;
      if (still.state === "shown") this.forget(still.url);
      this.#entries.delete(key);
    }
  }
}
