/**
 * The binary frames of the media socket, taken apart. No DOM and no socket here, so that every malformed frame is a test.
 *
 * Frame: u8 version = 1 | u8 type | u16 channel | u32 sequence | i64 UTC µs | u32 µs from receipt to sending | payload.
 * All numbers are big-endian. Init payload: u16 length, codec string, u16 width, u16 height, decoder configuration record.
 * Key and delta payload: one access unit with four-byte NAL lengths.
 */

export const HEADER_BYTES = 20;

export type Unit = { type: "key" | "delta"; channel: number; sequence: number; utcUs: number; heldUs: number; data: Uint8Array };
export type Init = {
  type: "init";
  channel: number;
  sequence: number;
  codec: string;
  width: number;
  height: number;
  configuration: Uint8Array;
};
export type Gap = { type: "gap"; channel: number; sequence: number };
export type Frame = Unit | Init | Gap;

/** Why a frame cannot be read. The socket is then closed: after one unreadable frame nothing on it can be trusted. */
export type FrameFault = { type: "fault"; why: "short" | "version" | "kind" | "init" };

export function parseFrame(buffer: ArrayBuffer): Frame | FrameFault {
  if (buffer.byteLength < HEADER_BYTES) return { type: "fault", why: "short" };
  const view = new DataView(buffer);
  if (view.getUint8(0) !== 1) return { type: "fault", why: "version" };
  const channel = view.getUint16(2);
  const sequence = view.getUint32(4);
  const data = new Uint8Array(buffer, HEADER_BYTES);
  switch (view.getUint8(1)) {
    case 0: {
      const init = parseInit(data);
      return init ? { type: "init", channel, sequence, ...init } : { type: "fault", why: "init" };
    }
    case 1:
    case 2: {
      const type = view.getUint8(1) === 1 ? "key" : "delta";
      // Microseconds of this century fit a double exactly (below 2^53).
      return { type, channel, sequence, utcUs: Number(view.getBigInt64(8)), heldUs: view.getUint32(16), data };
    }
    case 3:
      return { type: "gap", channel, sequence };
    default:
      return { type: "fault", why: "kind" };
  }
}

export type Configuration = Pick<Init, "codec" | "width" | "height" | "configuration">;

/** The init payload; `undefined` when it is cut short. Key-unit answers use the same layout. */
export function parseInit(data: Uint8Array): Configuration | undefined {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.byteLength < 2) return undefined;
  const codecEnd = 2 + view.getUint16(0);
  if (data.byteLength < codecEnd + 4) return undefined;
  return {
    codec: new TextDecoder().decode(data.subarray(2, codecEnd)),
    width: view.getUint16(codecEnd),
    height: view.getUint16(codecEnd + 2),
    configuration: data.slice(codecEnd + 4),
  };
}
