import { expect, test } from "vitest";
import { HEADER_BYTES, parseFrame } from "./frame";

function frame(type: number, payload: number[], version = 1): ArrayBuffer {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, version);
  view.setUint8(1, type);
  view.setUint16(2, 7);
  view.setUint32(4, 4_000_000_000);
  view.setBigInt64(8, 1_795_399_200_123_456n);
  view.setUint32(16, 250);
  bytes.set(payload, HEADER_BYTES);
  return bytes.buffer;
}

const init = [0, 4, ...new TextEncoder().encode("avc1"), 2, 128, 1, 104, 1, 66, 0, 30];

test("a key unit comes back with its channel, sequence and microsecond", () => {
  expect(parseFrame(frame(1, [0, 0, 0, 1, 0x65]))).toMatchObject({
    type: "key",
    channel: 7,
    sequence: 4_000_000_000,
    utcUs: 1_795_399_200_123_456,
    heldUs: 250,
    data: Uint8Array.of(0, 0, 0, 1, 0x65),
  });
});

test("an init frame carries codec, size and decoder configuration", () => {
  expect(parseFrame(frame(0, init))).toMatchObject({
    type: "init",
    codec: "avc1",
    width: 640,
    height: 360,
    configuration: Uint8Array.of(1, 66, 0, 30),
  });
});

test("a gap needs no payload", () => {
  expect(parseFrame(frame(3, []))).toMatchObject({ type: "gap", channel: 7 });
});

test.each([
  ["short", new ArrayBuffer(HEADER_BYTES - 1)],
  ["version", frame(1, [], 2)],
  ["kind", frame(9, [])],
  ["init", frame(0, init.slice(0, 7))],
  ["init", frame(0, [255])],
])("a frame that cannot be read says why: %s", (why, buffer) => {
  expect(parseFrame(buffer)).toEqual({ type: "fault", why });
});
