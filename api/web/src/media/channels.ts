/**
 * Which channels of the socket carry what. A pure core: wishes and connection events in, control messages out. After a
 * reconnect every wish is asked again; a channel number is never used twice on one connection, so a late frame of an
 * old subscription cannot be drawn in a new tile.
 */
import type { LiveTier, Want } from "./protocol";

export type Control =
  | { op: "sub"; ch: number; camera: number; tier: LiveTier }
  | { op: "unsub"; ch: number }
  | { op: "credit"; ch: number; seq: number };

/** `over`: the node ended it, and asking again makes sense or does not. */
export type Channel = { ch: number; slot: string; camera: number; tier: LiveTier; over?: "again" | "final" };

const LAST_CHANNEL = 0xffff;

export class Channels {
  #next = 1;
  #open = false;
  #byChannel = new Map<number, Channel>();
  #wants: Want[] = [];

  channel(ch: number): Channel | undefined {
    return this.#byChannel.get(ch);
  }

  all(): Iterable<Channel> {
    return this.#byChannel.values();
  }

  /** The connection is up: everything wanted is asked for, nearest the top left first. */
  opened(): Control[] {
    this.#open = true;
    this.#next = 1;
    this.#byChannel.clear();
    return this.#reconcile();
  }

  lost(): void {
    this.#open = false;
    this.#byChannel.clear();
  }

  want(wants: Want[]): Control[] {
    this.#wants = wants;
    return this.#open ? this.#reconcile() : [];
  }

  /** The node ended or refused a channel. It is asked for again when `again` is called, unless that is final. */
  ended(ch: number, final = false): void {
    const channel = this.#byChannel.get(ch);
    if (channel) this.#byChannel.set(ch, { ...channel, over: final ? "final" : "again" });
  }

  /** Asks again for everything that ended and is still wanted. */
  again(): Control[] {
    for (const { ch, over } of [...this.#byChannel.values()]) if (over === "again") this.#byChannel.delete(ch);
    return this.#open ? this.#reconcile() : [];
  }

  /** True when channel numbers have run out on this connection: the shell then reconnects. */
  exhausted(): boolean {
    return this.#next > LAST_CHANNEL;
  }

  #reconcile(): Control[] {
    const controls: Control[] = [];
    const wanted = new Map(this.#wants.map((want) => [want.slot, want]));
    for (const channel of [...this.#byChannel.values()]) {
      const want = wanted.get(channel.slot);
      if (want && want.camera === channel.camera && want.tier === channel.tier) {
        wanted.delete(channel.slot);
      } else {
        this.#byChannel.delete(channel.ch);
        if (!channel.over) controls.push({ op: "unsub", ch: channel.ch });
      }
    }
    for (const { slot, camera, tier } of wanted.values()) {
      if (this.exhausted()) break;
      const ch = this.#next++;
      this.#byChannel.set(ch, { ch, slot, camera, tier });
      controls.push({ op: "sub", ch, camera, tier });
    }
    return controls;
  }
}
