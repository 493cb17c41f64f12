/**
 * Decoders. `TileSource` is what a tile needs of one: units go in, pictures come out, and `close` frees everything.
 * Two kinds exist: `KeySource` shows a picture for every key unit and nothing between, `LiveSource` every picture. Both use
 * WebCodecs, which on machines without a GPU beat `<video>` in latency and in processor time.
 */
import type { Configuration, Unit } from "./frame";

export type Picture = { frame: VideoFrame; utcUs: number };

export type TileSource = {
  configure(configuration: Configuration): Promise<boolean>;
  take(unit: Unit): void;
  /** Units were left out by the server: wait for the next key unit. */
  gap(): void;
  close(): void;
};

/** Counts every decoded frame that has not been closed. A frame that is never closed pins decoder memory until the tab dies. */
export class FrameLedger {
  held = 0;
  heldMax = 0;
  taken(): void {
    this.held += 1;
    this.heldMax = Math.max(this.heldMax, this.held);
  }
  close(frame: VideoFrame): void {
    this.held -= 1;
    frame.close();
  }
}

/** A live decoder further behind than this has no chance to catch up: it skips to the next key unit. */
const QUEUE_LIMIT = 30;

abstract class DecoderSource implements TileSource {
  #decoder: VideoDecoder | undefined;
  #config: VideoDecoderConfig | undefined;
  #needsKey = true;
  #closed = false;
  #generation = 0;
  dropped = 0;

  constructor(
    private readonly ledger: FrameLedger,
    private readonly onPicture: (picture: Picture) => void,
  ) {}

  async configure({ codec, width, height, configuration }: Configuration): Promise<boolean> {
    const generation = ++this.#generation;
    const config: VideoDecoderConfig = {
      codec,
      codedWidth: width,
      codedHeight: height,
      description: configuration,
      optimizeForLatency: true,
    };
    // Units that follow the init at once are decoded without waiting for the answer below.
    this.#config = config;
    this.#restart();
    const { supported } = await VideoDecoder.isConfigSupported(config).catch(() => ({ supported: false }));
    if (generation === this.#generation && !supported) this.#config = undefined;
    return supported === true;
  }

  take(unit: Unit): void {
    if (!this.#config || this.#closed) return;
    if (this.#needsKey && unit.type !== "key") return;
    if (!this.accepts(unit)) return;
    if (this.#decoder && this.#decoder.decodeQueueSize > QUEUE_LIMIT) {
      this.dropped += 1;
      this.#needsKey = true;
      if (unit.type !== "key") return;
      this.#restart();
    }
    if (this.#decoder?.state !== "configured") this.#restart();
    if (!this.#decoder) return;
    try {
      this.#decoder.decode(new EncodedVideoChunk({ type: unit.type, timestamp: unit.utcUs, data: unit.data }));
      this.#needsKey = false;
      this.decoded(this.#decoder);
    } catch {
      this.gap();
    }
  }

  gap(): void {
    this.#needsKey = true;
  }

  close(): void {
    this.#closed = true;
    this.#stop();
  }

  protected abstract accepts(unit: Unit): boolean;
  protected abstract decoded(decoder: VideoDecoder): void;

  #stop(): void {
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    this.#decoder = undefined;
  }

  #restart(): void {
    this.#stop();
    if (!this.#config || this.#closed) return;
    const decoder = new VideoDecoder({
      output: (frame) => {
        this.ledger.taken();
        if (this.#closed || decoder !== this.#decoder) this.ledger.close(frame);
        else this.onPicture({ frame, utcUs: frame.timestamp });
      },
      // A broken unit ends this decoder; the next key unit starts another.
      error: () => {
        if (decoder === this.#decoder) {
          this.#decoder = undefined;
          this.#needsKey = true;
        }
      },
    });
    try {
      decoder.configure(this.#config);
      this.#decoder = decoder;
    } catch {
      this.#config = undefined;
    }
    this.#needsKey = true;
  }
}

export class KeySource extends DecoderSource {
  protected accepts(unit: Unit): boolean {
    return unit.type === "key";
  }
  /** Flushing makes the decoder give the picture at once; what follows is a key unit again, as a flush demands. */
  protected decoded(decoder: VideoDecoder): void {
    decoder.flush().catch(() => {});
  }
}

export class LiveSource extends DecoderSource {
  protected accepts(): boolean {
    return true;
  }
  protected decoded(): void {}
}
