/**
 * Pictures while the pointer moves, and at four times speed and more: recorded key units, fetched in batches ahead of the movement
 * and decoded one by one. Only the newest wish counts: a picture that comes too late for the pointer is never drawn.
 */
import { api, nodeNowUs } from "../api";
import type { StreamKind, UtcMicros } from "../wire";
import { askFor, type CachedUnit, KeyCache, SLOT_US, slotOf, wantedSlots } from "./keycache";
import { type KeyRecord, KeyRecords } from "./keyunits";

/** Key units ahead of the pointer in one request, for one to four cameras. */
const AHEAD = 8;
/** Pointer speed is forgotten after this: a drag that starts again has a new direction. */
const SPEED_FOR_MS = 400;
/** Footage is durable and readable this long after it happened, at the latest. */
const SETTLED_US = 20e6;
const FORGET_EVERY_MS = 2000;

export type Shown = "picture" | "none" | "pending";

class KeyPicture {
  #decoder: VideoDecoder | undefined;
  #configured: CachedUnit["configuration"] | undefined;
  #busy = false;
  #next: { unit: CachedUnit; done(): void } | undefined;
  #shownUs: UtcMicros | undefined;

  constructor(readonly canvas: HTMLCanvasElement) {}

  /** Draws the unit unless it is on the canvas already; a wish made meanwhile replaces it. */
  show(unit: CachedUnit, done: () => void): void {
    if (this.#shownUs === unit.unitUs && !this.#busy) {
      done();
      return;
    }
    this.#next = { unit, done };
    if (!this.#busy) void this.#run();
  }

  clear(): void {
    this.#shownUs = undefined;
    this.#next = undefined;
    this.canvas.getContext("2d")?.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  close(): void {
    this.#next = undefined;
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    this.#decoder = undefined;
  }

  async #run(): Promise<void> {
    this.#busy = true;
    for (let wish = this.#next; wish; wish = this.#next) {
      this.#next = undefined;
      await this.#draw(wish.unit).then(wish.done, () => this.close());
    }
    this.#busy = false;
  }

  async #draw(unit: CachedUnit): Promise<void> {
    const decoder = this.#ready(unit);
    decoder.decode(new EncodedVideoChunk({ type: "key", timestamp: unit.unitUs, data: unit.data }));
    await decoder.flush();
    this.#shownUs = unit.unitUs;
  }

  #ready(unit: CachedUnit): VideoDecoder {
    if (this.#decoder?.state === "configured" && this.#configured === unit.configuration) return this.#decoder;
    this.close();
    const context = this.canvas.getContext("2d");
    const decoder = new VideoDecoder({
      output: (frame) => {
        if (this.canvas.width !== frame.displayWidth) this.canvas.width = frame.displayWidth;
        if (this.canvas.height !== frame.displayHeight) this.canvas.height = frame.displayHeight;
        context?.drawImage(frame, 0, 0);
        frame.close();
      },
      error: () => {
        this.#decoder = undefined;
      },
    });
    const { codec, width, height, configuration } = unit.configuration;
    decoder.configure({ codec, codedWidth: width, codedHeight: height, description: configuration, optimizeForLatency: true });
    this.#decoder = decoder;
    this.#configured = unit.configuration;
    return decoder;
  }
}

type Wish = { us: UtcMicros; atMs: number; waiting: Set<number>; measured: boolean };

export class Scrubber {
  #cache = new KeyCache();
  #pictures = new Map<number, KeyPicture>();
  #configurations = new Map<number, CachedUnit["configuration"]>();
  #wish: Wish | undefined;
  /** Seconds a step of the pointer, with its direction; 0 until it has moved. */
  #stride = 0;
  #forgotMs = 0;
  /** What is under the pointer and what lies ahead are asked for apart, so that the one never waits for the other. */
  #inFlight = { now: false, ahead: false };
  /** Asked and not yet answered: `camera@slot`. */
  #pending = new Set<string>();
  #closed = new AbortController();

  constructor(
    private readonly stream: StreamKind,
    /** Told when a camera's canvas shows the wished instant, or there is nothing to show. */
    private readonly onShown: (camera: number, shown: Shown) => void,
  ) {}

  attach(camera: number, canvas: HTMLCanvasElement): void {
    this.#pictures.get(camera)?.close();
    this.#pictures.set(camera, new KeyPicture(canvas));
  }

  detach(camera: number): void {
    this.#pictures.get(camera)?.close();
    this.#pictures.delete(camera);
  }

  /** Shows every camera at `us`. `sinceMs` is when the person asked (an event's time stamp), for the measure. `measured` is
   * false where nobody waits for this very picture, as in fast play. */
  at(us: UtcMicros, sinceMs: number, measured: boolean): void {
    const last = this.#wish;
    if (!last || sinceMs - last.atMs >= SPEED_FOR_MS) this.#stride = 0;
    else if (last.us !== us) this.#stride = Math.round((us - last.us) / SLOT_US) || Math.sign(us - last.us);
    if (sinceMs - this.#forgotMs > FORGET_EVERY_MS) {
      this.#forgotMs = sinceMs;
      this.#cache.forgetNone(nodeNowUs() - SETTLED_US);
    }
    this.#wish = { us, atMs: sinceMs, waiting: new Set(this.#pictures.keys()), measured };
    for (const camera of this.#pictures.keys()) this.#try(camera);
    void this.#fetch("now");
    void this.#fetch("ahead");
  }

  stop(): void {
    this.#wish = undefined;
  }

  close(): void {
    this.#closed.abort();
    for (const picture of this.#pictures.values()) picture.close();
    this.#pictures.clear();
  }

  #try(camera: number): void {
    const wish = this.#wish;
    const picture = this.#pictures.get(camera);
    if (!wish || !picture || !wish.waiting.has(camera)) return;
    const unit = this.#cache.get(camera, wish.us);
    if (unit === undefined) return;
    if (unit === null) {
      picture.clear();
      this.#shown(wish, camera, "none");
    } else picture.show(unit, () => this.#shown(wish, camera, "picture"));
  }

  #shown(wish: Wish, camera: number, shown: Shown): void {
    if (!wish.waiting.delete(camera)) return;
    if (this.#wish === wish) this.onShown(camera, shown);
    if (wish.waiting.size > 0 || !wish.measured) return;
    performance.measure("scrub", {
      start: wish.atMs,
      end: Math.max(wish.atMs, performance.now()),
      detail: { cameras: this.#pictures.size },
    });
  }

  /** One request of a kind at a time; when it ends, the newest wish decides whether there is another. */
  async #fetch(kind: "now" | "ahead"): Promise<void> {
    if (this.#inFlight[kind]) return;
    this.#inFlight[kind] = true;
    try {
      for (let wants = this.#wants(kind); wants.length > 0; wants = this.#wants(kind)) await this.#ask(wants);
    } catch {
      // An abort, or a node that does not answer: the pointer's next move asks again.
    } finally {
      this.#inFlight[kind] = false;
    }
  }

  #wants(kind: "now" | "ahead"): { camera: number; at_us: UtcMicros[] }[] {
    const wish = this.#wish;
    if (!wish || this.#closed.signal.aborted) return [];
    const nowSlot = slotOf(nodeNowUs());
    const wants = [];
    for (const camera of this.#pictures.keys()) {
      const slots = wantedSlots(this.#cache, camera, wish.us, this.#stride, kind === "now" ? 0 : AHEAD).filter(
        (slot) => slot <= nowSlot && !this.#pending.has(`${camera}@${slot}`),
      );
      // What lies ahead is fetched in one go, once half of it is used up.
      if (slots.length > (kind === "now" ? 0 : AHEAD / 2)) wants.push({ camera, at_us: slots.map(askFor) });
    }
    return wants;
  }

  async #ask(wants: { camera: number; at_us: UtcMicros[] }[]): Promise<void> {
    const asked = new Map(
      wants.flatMap(({ camera, at_us }) => at_us.map((us) => [`${camera}@${slotOf(us)}`, { camera, us }] as const)),
    );
    for (const key of asked.keys()) this.#pending.add(key);
    try {
      const response = await api.keyUnits(this.stream, wants, this.#closed.signal);
      const reader = response.body?.getReader();
      const records = new KeyRecords();
      while (reader) {
        const { done, value } = await reader.read();
        if (done) break;
        for (const record of records.push(value)) this.#take(record, asked);
      }
      // An instant that the answer left out has no picture; asking for it again and again would never end.
      for (const { camera, us } of asked.values()) this.#cache.put(camera, us, null);
    } finally {
      for (const key of asked.keys()) this.#pending.delete(key);
    }
  }

  #take(record: KeyRecord, asked: Map<string, unknown>): void {
    if (record.kind === "init") {
      this.#configurations.set(record.camera, record.configuration);
      return;
    }
    const configuration = this.#configurations.get(record.camera);
    const unit = record.kind === "unit" && configuration ? { ...record, configuration } : null;
    this.#cache.put(record.camera, record.askedUs, unit);
    const key = `${record.camera}@${slotOf(record.askedUs)}`;
    asked.delete(key);
    this.#pending.delete(key);
    this.#try(record.camera);
  }
}
