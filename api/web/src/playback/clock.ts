/** The one clock of a playback: footage time as wall time × rate. Pure; every picture on the page follows it. */
import type { UtcMicros } from "../wire";

export class MasterClock {
  #anchorUs: UtcMicros;
  #anchorMs: number;
  #rate = 1;
  #running = false;

  constructor(us: UtcMicros, nowMs: number) {
    this.#anchorUs = us;
    this.#anchorMs = nowMs;
  }

  get running(): boolean {
    return this.#running;
  }

  get rate(): number {
    return this.#rate;
  }

  at(nowMs: number): UtcMicros {
    return this.#running ? this.#anchorUs + (nowMs - this.#anchorMs) * 1000 * this.#rate : this.#anchorUs;
  }

  seek(us: UtcMicros, nowMs: number): void {
    this.#anchorUs = us;
    this.#anchorMs = nowMs;
  }

  /** A new rate takes over where the old one stands: time never jumps. */
  setRate(rate: number, nowMs: number): void {
    this.seek(this.at(nowMs), nowMs);
    this.#rate = rate;
  }

  run(running: boolean, nowMs: number): void {
    this.seek(this.at(nowMs), nowMs);
    this.#running = running;
  }
}

/** How one picture is brought back to the clock: nudged by up to 5 % while it is near, moved when it is far. */
export type Correction = { do: "rate"; rate: number } | { do: "seek" };

/** Beyond three pictures at 25 a second the eye sees two cameras disagree. */
const FAR_S = 0.12;
const NUDGE_MOST = 0.05;

/** `aheadS`: the picture's time minus the clock's, in seconds of footage. */
export function correction(aheadS: number, rate: number): Correction {
  if (Math.abs(aheadS) > FAR_S * Math.max(1, rate)) return { do: "seek" };
  const nudge = Math.max(-NUDGE_MOST, Math.min(NUDGE_MOST, -aheadS));
  return { do: "rate", rate: rate * (1 + nudge) };
}
