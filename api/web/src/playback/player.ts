/**
 * One camera's footage in a `<video>`, following the master clock. Fragments are fetched a little ahead and appended to a media
 * source whose time 0 is a fixed instant, so that `currentTime` is footage time and a gap stays as long as it was.
 */
import { api, nodeNowUs, Refused } from "../api";
import type { FragmentEntry, StreamKind, UtcMicros } from "../wire";
import { decodeTime, type InitFacts, initFacts } from "./boxes";
import { correction } from "./clock";
import { FragmentList, LONGEST_GOP_US } from "./fragments";

export type PlayerState = "loading" | "showing" | "missing" | "codec" | "failed";

/** How much footage is fetched ahead of the clock, in seconds at normal speed, and kept behind it. */
const AHEAD_S = 6;
const BEHIND_S = 10;
/** One question to the node covers this much time. */
const LIST_US = 60e6;
/** The media source's time 0 lies this long before the first instant shown: small figures keep their precision. */
const LEAD_US = 6 * 3600e6;
const REACH_US = 4 * LEAD_US;
/** Near the live edge the list is asked again this often. */
const LIST_AGAIN_MS = 1000;
const JUMP_US = 5e6;
/** Clock jitter between fragments of one run: smaller steps are the run's own time, larger ones are real. */
const SAME_RUN_S = 0.15;
/** A picture that is far off is moved at most this often: moving costs a decode from the key unit. */
const MOVE_EVERY_MS = 1500;

export class FootagePlayer {
  state: PlayerState = "loading";
  codec = "";
  #source: MediaSource | undefined;
  #buffer: SourceBuffer | undefined;
  #url = "";
  #epochUs = 0;
  #list = new FragmentList();
  #appended = new Map<string, FragmentEntry>();
  #inits = new Map<string, { bytes: ArrayBuffer; facts: InitFacts | undefined }>();
  #currentInit = "";
  #wantUs = 0;
  #aheadUs = AHEAD_S * 1e6;
  #closed = new AbortController();
  #pumping = false;
  #listedMs = Number.NEGATIVE_INFINITY;
  #listedUs = Number.NEGATIVE_INFINITY;
  #movedMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #retryMs = 0;

  constructor(
    readonly camera: number,
    private readonly stream: StreamKind,
    private readonly video: HTMLVideoElement,
  ) {}

  /** Called a few times a second, and at once after a jump: shows `us`, at `rate` if `playing`. */
  follow(us: UtcMicros, rate: number, playing: boolean): void {
    if (this.#closed.signal.aborted) return;
    if (!this.#source || us < this.#epochUs || us > this.#epochUs + REACH_US) this.#begin(us);
    this.#wantUs = us;
    this.#aheadUs = AHEAD_S * 1e6 * Math.max(1, rate);
    void this.#pump();
    this.#steer(us, rate, playing);
  }

  /** Whether the picture of `us` is decoded and on screen, as far as the element tells. */
  get settled(): boolean {
    return this.state !== "showing" || (!this.video.seeking && this.video.readyState >= 2);
  }

  close(): void {
    this.#closed.abort();
    this.#end();
  }

  #begin(us: UtcMicros): void {
    this.#end();
    this.#epochUs = us - LEAD_US;
    const source = new MediaSource();
    this.#source = source;
    this.#url = URL.createObjectURL(source);
    this.video.src = this.#url;
    source.addEventListener("sourceopen", () => {
      if (source !== this.#source) return;
      source.duration = REACH_US / 1e6;
      void this.#pump();
    });
  }

  #end(): void {
    this.#buffer = undefined;
    this.#source = undefined;
    this.#currentInit = "";
    this.#appended.clear();
    if (!this.#url) return;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.#url);
    this.#url = "";
  }

  #mediaTime(us: UtcMicros): number {
    return (us - this.#epochUs) / 1e6;
  }

  #buffered(time: number): boolean {
    const { buffered } = this.video;
    for (let index = 0; index < buffered.length; index++) {
      if (buffered.start(index) - 0.05 <= time && time < buffered.end(index)) return true;
    }
    return false;
  }

  #steer(us: UtcMicros, rate: number, playing: boolean): void {
    const time = this.#mediaTime(us);
    if (!this.#buffered(time)) {
      if (!this.video.paused) this.video.pause();
      if (this.state === "codec") return;
      const known = this.#list.covers(us, us + 1);
      this.state = known && !this.#list.at(us) ? "missing" : "loading";
      return;
    }
    this.state = "showing";
    const nowMs = performance.now();
    if (!playing) {
      if (!this.video.paused) this.video.pause();
      if (Math.abs(this.video.currentTime - time) > 0.02) this.video.currentTime = time;
      return;
    }
    const fix = correction(this.video.currentTime - time, rate);
    if (fix.do === "rate") this.video.playbackRate = fix.rate;
    else if (!this.video.seeking && (this.video.paused || nowMs - this.#movedMs > MOVE_EVERY_MS)) {
      this.#movedMs = nowMs;
      this.video.playbackRate = rate;
      this.video.currentTime = time;
    }
    if (this.video.paused) this.video.play().catch(() => {});
  }

  /** The one loop that fetches and appends; it ends when nothing is needed and is woken by the next `follow`. */
  async #pump(): Promise<void> {
    if (this.#pumping || this.#source?.readyState !== "open" || performance.now() < this.#retryMs) return;
    this.#pumping = true;
    try {
      while (!this.#closed.signal.aborted && (await this.#step(this.#source))) this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      this.#retryMs = performance.now() + Math.min(8000, 250 * 2 ** this.#failures);
      if (error instanceof Refused && error.notice.status === 403) this.state = "failed";
    } finally {
      this.#pumping = false;
    }
  }

  /** One small act; true if there may be more to do. */
  async #step(source: MediaSource): Promise<boolean> {
    const us = this.#wantUs;
    if (await this.#askList(us)) return true;
    const next = this.#list.needed(us, us + this.#aheadUs).find((entry) => !this.#appended.has(entry.uri));
    if (!next) return false;
    const init = await this.#init(next.init);
    if (!init.facts || !MediaSource.isTypeSupported(init.facts.mime)) {
      this.codec = init.facts?.codec ?? "?";
      this.state = "codec";
      return false;
    }
    const bytes = await api.bytes(next.uri, this.#closed.signal);
    if (source !== this.#source || source.readyState !== "open") return true;
    await this.#append(source, next, init.bytes, init.facts, bytes);
    return true;
  }

  /** Asks which fragments there are around an instant, if that is not known; true if it asked. */
  async #askList(us: UtcMicros): Promise<boolean> {
    const end = Math.min(us + this.#aheadUs, nodeNowUs());
    if (this.#list.covers(us - LONGEST_GOP_US, end)) return false;
    // Where nothing is durable yet the answer stays open: ask now and then, at once only after a jump.
    const jumped = Math.abs(us - this.#listedUs) > JUMP_US;
    if (!jumped && performance.now() - this.#listedMs < LIST_AGAIN_MS) return false;
    this.#listedMs = performance.now();
    this.#listedUs = us;
    const fromUs = Math.floor(us - LONGEST_GOP_US);
    const toUs = Math.floor(us + LIST_US);
    const { fragments } = await api.fragments(this.camera, this.stream, fromUs, toUs, this.#closed.signal);
    // What is not durable yet is not a gap: only up to the last fragment, or well before now, is the answer final.
    const settledUs = Math.max(fragments.at(-1)?.to_us ?? 0, nodeNowUs() - 20e6);
    this.#list.add(fragments, fromUs, Math.min(toUs, settledUs));
    return true;
  }

  async #init(uri: string): Promise<{ bytes: ArrayBuffer; facts: InitFacts | undefined }> {
    const known = this.#inits.get(uri);
    if (known) return known;
    const bytes = await api.bytes(uri, this.#closed.signal);
    const init = { bytes, facts: initFacts(bytes) };
    this.#inits.set(uri, init);
    return init;
  }

  async #append(
    source: MediaSource,
    entry: FragmentEntry,
    init: ArrayBuffer,
    facts: InitFacts,
    bytes: ArrayBuffer,
  ): Promise<void> {
    if (!this.#buffer) {
      this.#buffer = source.addSourceBuffer(facts.mime);
      this.#buffer.mode = "segments";
    }
    const buffer = this.#buffer;
    if (this.#currentInit !== entry.init) {
      buffer.changeType(facts.mime);
      await finished(buffer, () => buffer.appendBuffer(init));
      this.#currentInit = entry.init;
    }
    const decodeS = (decodeTime(bytes, facts.trackId) ?? 0) / facts.timescale;
    const offset = this.#mediaTime(entry.from_us) - decodeS;
    if (Math.abs(offset - buffer.timestampOffset) > SAME_RUN_S) buffer.timestampOffset = offset;
    try {
      await finished(buffer, () => buffer.appendBuffer(bytes));
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "QuotaExceededError")) throw error;
      await this.#evict(buffer, 1);
      await finished(buffer, () => buffer.appendBuffer(bytes));
    }
    this.#appended.set(entry.uri, entry);
    await this.#evict(buffer, BEHIND_S);
  }

  /** Forgets what lies more than `keepS` behind the clock, and far ahead of it after a jump back: buffers stay bounded. */
  async #evict(buffer: SourceBuffer, keepS: number): Promise<void> {
    const { buffered } = buffer;
    if (buffered.length === 0) return;
    const time = this.#mediaTime(this.#wantUs);
    const behind = time - keepS - LONGEST_GOP_US / 1e6;
    const ahead = time + (this.#aheadUs * 4) / 1e6;
    if (buffered.start(0) < behind - keepS) await this.#remove(buffer, 0, behind);
    if (buffered.length > 0 && buffered.end(buffered.length - 1) > ahead + 30) {
      await this.#remove(buffer, ahead, REACH_US / 1e6);
    }
  }

  async #remove(buffer: SourceBuffer, from: number, to: number): Promise<void> {
    await finished(buffer, () => buffer.remove(from, to));
    for (const [uri, entry] of this.#appended) {
      if (this.#mediaTime(entry.to_us) > from && this.#mediaTime(entry.from_us) < to) this.#appended.delete(uri);
    }
  }
}

/** Starts an operation of a source buffer and waits until it is done. */
function finished(buffer: SourceBuffer, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = () => {
      buffer.removeEventListener("updateend", done);
      buffer.removeEventListener("error", failed);
      resolve();
    };
    const failed = () => {
      buffer.removeEventListener("updateend", done);
      buffer.removeEventListener("error", failed);
      reject(new Error("the source buffer refused the bytes"));
    };
    buffer.addEventListener("updateend", done);
    buffer.addEventListener("error", failed);
    try {
      start();
    } catch (error) {
      buffer.removeEventListener("updateend", done);
      buffer.removeEventListener("error", failed);
      reject(error);
    }
  });
}
