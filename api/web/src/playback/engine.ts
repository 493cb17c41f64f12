/**
 * What playback does, without React: the master clock, a player and a scrub canvas for each camera, and which of the two is on
 * top. The page tells it what the person wants and reads a small state a few times a second; the timeline reads the clock itself.
 */
import { create, type StoreApi, type UseBoundStore } from "zustand";
import { nodeNowUs } from "../api";
import type { StreamKind, UtcMicros } from "../wire";
import { MasterClock } from "./clock";
import { FootagePlayer, type PlayerState } from "./player";
import { Scrubber, type Shown } from "./scrub";

export const RATES = [1, 2, 4, 8] as const;
export type Rate = (typeof RATES)[number];
/** From here on only key units are shown: decoding everything four times over is more than a desk machine can do. */
export const KEY_MODE_FROM = 4;

/** Footage younger than this may not be durable yet. */
const EDGE_US = 3e6;
const STEER_EVERY_MS = 100;
/** After a jump the clock waits this long at most for pictures, so that they start together. */
const HOLD_MS = 2000;

export type CameraPicture = { player: PlayerState; codec: string; onTop: "video" | "keys"; keys: Shown };

export type EngineState = {
  us: UtcMicros;
  playing: boolean;
  rate: Rate;
  atEdge: boolean;
  pictures: ReadonlyMap<number, CameraPicture>;
};

type Screen = { player: FootagePlayer; onTop: "video" | "keys"; keys: Shown };

export class Engine {
  readonly use: UseBoundStore<StoreApi<EngineState>>;
  #clock: MasterClock;
  #screens = new Map<number, Screen>();
  #scrubber: Scrubber;
  #scrubbing = false;
  #wantsPlay = false;
  #heldSinceMs: number | undefined;
  #timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly stream: StreamKind,
    startUs: UtcMicros,
  ) {
    this.#clock = new MasterClock(startUs, performance.now());
    this.use = create<EngineState>(() => ({ us: startUs, playing: false, rate: 1, atEdge: false, pictures: new Map() }));
    this.#scrubber = new Scrubber(stream, (camera, shown) => this.#keysShown(camera, shown));
    this.#timer = setInterval(() => this.#steer(), STEER_EVERY_MS);
  }

  nowUs(): UtcMicros {
    return Math.min(this.#clock.at(performance.now()), nodeNowUs());
  }

  attach(camera: number, video: HTMLVideoElement, canvas: HTMLCanvasElement): () => void {
    const screen: Screen = { player: new FootagePlayer(camera, this.stream, video), onTop: "video", keys: "pending" };
    this.#screens.set(camera, screen);
    this.#scrubber.attach(camera, canvas);
    this.#steer();
    return () => {
      screen.player.close();
      this.#scrubber.detach(camera);
      this.#screens.delete(camera);
    };
  }

  play(playing: boolean): void {
    this.#wantsPlay = playing;
    this.#clock.run(playing, performance.now());
    this.#heldSinceMs = undefined;
    this.#steer();
  }

  setRate(rate: Rate): void {
    this.#clock.setRate(rate, performance.now());
    this.use.setState({ rate });
    if (rate < KEY_MODE_FROM && !this.#scrubbing) this.#release();
    this.#steer();
  }

  /** Goes to an instant and shows its exact picture. */
  seek(us: UtcMicros): void {
    this.#clock.seek(Math.min(us, nodeNowUs() - EDGE_US), performance.now());
    this.#hold();
    if (!this.#keyMode) this.#scrubber.at(this.nowUs(), performance.now(), false);
    this.#steer();
  }

  /** The pointer is down and at `us`; `eventMs` is its event's time stamp. The clock stands meanwhile. */
  scrub(us: UtcMicros, eventMs: number): void {
    this.#scrubbing = true;
    if (this.#clock.running) this.#clock.run(false, performance.now());
    const to = Math.min(us, nodeNowUs() - EDGE_US);
    this.#clock.seek(to, performance.now());
    // The state that React draws follows a tenth of a second later; the play head and the pictures do not wait for it.
    this.#scrubber.at(to, eventMs, true);
  }

  /** The pointer is up: the exact picture follows, and play goes on if it was on. */
  endScrub(): void {
    this.#scrubbing = false;
    if (this.#wantsPlay) this.#clock.run(true, performance.now());
    this.#hold();
    this.#steer();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const screen of this.#screens.values()) screen.player.close();
    this.#screens.clear();
    this.#scrubber.close();
  }

  get #keyMode(): boolean {
    return this.#wantsPlay && this.#clock.rate >= KEY_MODE_FROM;
  }

  /** After a jump the clock stands until every camera that has footage shows it. */
  #hold(): void {
    if (!this.#wantsPlay || this.#keyMode) return;
    this.#heldSinceMs = performance.now();
    if (this.#clock.running) this.#clock.run(false, performance.now());
  }

  #release(): void {
    this.#scrubber.stop();
  }

  #steer(): void {
    const nowMs = performance.now();
    const edgeUs = nodeNowUs() - EDGE_US;
    if (this.#clock.at(nowMs) > edgeUs) this.#clock.seek(edgeUs, nowMs);
    const us = this.#clock.at(nowMs);
    if (this.#keyMode) {
      if (!this.#scrubbing) this.#scrubber.at(us, nowMs, false);
    } else if (!this.#scrubbing) {
      const playing = this.#clock.running;
      for (const screen of this.#screens.values()) screen.player.follow(us, this.#clock.rate, playing);
      this.#unhold(nowMs);
      for (const screen of this.#screens.values()) {
        if (screen.player.state === "showing" && screen.player.settled) screen.onTop = "video";
      }
    }
    this.#publish(us, us >= edgeUs - 1e6);
  }

  #unhold(nowMs: number): void {
    if (this.#heldSinceMs === undefined) return;
    const waiting = [...this.#screens.values()].some(({ player }) => player.state === "loading" || !player.settled);
    if (waiting && nowMs - this.#heldSinceMs < HOLD_MS) return;
    this.#heldSinceMs = undefined;
    if (this.#wantsPlay) this.#clock.run(true, nowMs);
  }

  #keysShown(camera: number, shown: Shown): void {
    const screen = this.#screens.get(camera);
    if (!screen) return;
    screen.keys = shown;
    // A late key unit must not cover the exact picture that is already there.
    if (!this.#scrubbing && !this.#keyMode && screen.player.state === "showing" && screen.player.settled) return;
    if (screen.onTop === "keys") return;
    screen.onTop = "keys";
    this.#publish(this.nowUs(), this.use.getState().atEdge);
  }

  #publish(us: UtcMicros, atEdge: boolean): void {
    const old = this.use.getState().pictures;
    const pictures = new Map<number, CameraPicture>();
    for (const [camera, { player, onTop, keys }] of this.#screens) {
      const known = old.get(camera);
      const same = known?.player === player.state && known.codec === player.codec && known.onTop === onTop && known.keys === keys;
      pictures.set(camera, known && same ? known : { player: player.state, codec: player.codec, onTop, keys });
    }
    this.use.setState({ us, playing: this.#wantsPlay, atEdge, pictures });
  }
}
