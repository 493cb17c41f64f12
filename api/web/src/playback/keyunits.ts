/**
 * The answer to a batch of key units, taken apart as it arrives: the first picture is drawn before the last has been read from disk.
 *
 * Record: u32 length of what follows | u32 camera | i64 asked µs | i64 unit µs | u8 kind | payload. Kind 0: how the camera's
 * following units decode (the media socket's init payload). Kind 1: a key unit with four-byte NAL lengths; an empty one means
 * that there is no picture at that instant.
 */
import { type Configuration, parseInit } from "../media/frame";
import type { UtcMicros } from "../wire";

export type KeyRecord =
  | { kind: "init"; camera: number; configuration: Configuration }
  | { kind: "unit"; camera: number; askedUs: UtcMicros; unitUs: UtcMicros; data: Uint8Array }
  | { kind: "none"; camera: number; askedUs: UtcMicros };

const FIXED_BYTES = 21;
/** A key unit of a 4K camera is well below this: a longer record is not a record. */
const LONGEST_BYTES = 16 << 20;

/** Collects chunks and gives whole records. Throws on bytes that cannot be a record. */
export class KeyRecords {
  #rest = new Uint8Array();

  push(chunk: Uint8Array): KeyRecord[] {
    const bytes = new Uint8Array(this.#rest.length + chunk.length);
    bytes.set(this.#rest);
    bytes.set(chunk, this.#rest.length);
    const view = new DataView(bytes.buffer);
    const records: KeyRecord[] = [];
    let offset = 0;
    while (offset + 4 <= bytes.length) {
      const length = view.getUint32(offset);
      if (length < FIXED_BYTES || length > LONGEST_BYTES) throw new Error("a key-unit record of impossible length");
      if (offset + 4 + length > bytes.length) break;
      const record = parseRecord(view, bytes, offset + 4, offset + 4 + length);
      if (record) records.push(record);
      offset += 4 + length;
    }
    this.#rest = bytes.slice(offset);
    return records;
  }
}

function parseRecord(view: DataView, bytes: Uint8Array, start: number, end: number): KeyRecord | undefined {
  const camera = view.getUint32(start);
  const askedUs = Number(view.getBigInt64(start + 4));
  const unitUs = Number(view.getBigInt64(start + 12));
  const payload = bytes.slice(start + FIXED_BYTES, end);
  if (view.getUint8(start + 20) === 0) {
    const configuration = parseInit(payload);
    return configuration && { kind: "init", camera, configuration };
  }
  if (payload.length === 0) return { kind: "none", camera, askedUs };
  return { kind: "unit", camera, askedUs, unitUs, data: payload };
}
