import { expect, test } from "vitest";
import { KeyRecords } from "./keyunits";

function record(kind: number, payload: number[]): number[] {
  const bytes = new Uint8Array(25 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 21 + payload.length);
  view.setUint32(4, 7);
  view.setBigInt64(8, 2_000_000n);
  view.setBigInt64(16, 1_500_000n);
  view.setUint8(24, kind);
  bytes.set(payload, 25);
  return [...bytes];
}

const stream = Uint8Array.from([...record(0, [0, 1, 97, 2, 128, 1, 104, 9]), ...record(1, [1, 2, 3]), ...record(1, [])]);
const expected = [
  { kind: "init", camera: 7, configuration: { codec: "a", width: 640, height: 360, configuration: Uint8Array.of(9) } },
  { kind: "unit", camera: 7, askedUs: 2_000_000, unitUs: 1_500_000, data: Uint8Array.of(1, 2, 3) },
  { kind: "none", camera: 7, askedUs: 2_000_000 },
];

test.each([1, 3, 26, 1000])("records come out whole whatever the size of the chunks: %i", (size) => {
  const records = new KeyRecords();
  const seen = [];
  for (let at = 0; at < stream.length; at += size) seen.push(...records.push(stream.subarray(at, at + size)));
  expect(seen).toEqual(expected);
});

test("bytes that are no record are refused, not waited for", () => {
  expect(() => new KeyRecords().push(Uint8Array.of(255, 255, 255, 255))).toThrow();
});
