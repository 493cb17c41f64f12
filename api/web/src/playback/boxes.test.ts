import { expect, test } from "vitest";
import { decodeTime, initFacts } from "./boxes";

const u32 = (value: number) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const zeros = (count: number) => new Array<number>(count).fill(0);
const box = (type: string, ...content: number[][]): number[] => {
  const body = content.flat();
  return [...u32(body.length + 8), ...new TextEncoder().encode(type), ...body];
};
const bytes = (...content: number[][]) => Uint8Array.from(content.flat()).buffer as ArrayBuffer;

const init = (entry: number[]) =>
  bytes(
    box("ftyp", zeros(8)),
    box(
      "moov",
      box(
        "trak",
        box("tkhd", zeros(12), u32(1), zeros(4)),
        box("mdia", box("mdhd", zeros(12), u32(90_000), zeros(8)), box("minf", box("stbl", box("stsd", zeros(8), entry)))),
      ),
    ),
  );

test("an init segment tells codec, track and time scale", () => {
  const avc = box("avc1", zeros(78), box("avcC", [1, 0x64, 0, 0x1f]));
  expect(initFacts(init(avc))).toEqual({
    mime: 'video/mp4; codecs="avc1.64001f"',
    codec: "avc1.64001f",
    trackId: 1,
    timescale: 90_000,
  });
});

test("an HEVC codec string has its flags in reverse order", () => {
  const hvcc = box("hvcC", [1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 93]);
  expect(initFacts(init(box("hvc1", zeros(78), hvcc)))?.codec).toBe("hvc1.1.6.L93.90");
});

test("a fragment tells when its track decodes first, in 32 or 64 bits", () => {
  const traf = (track: number, tfdt: number[]) => box("traf", box("tfhd", zeros(4), u32(track)), box("tfdt", tfdt));
  const moof = box("moof", traf(2, [0, 0, 0, 0, ...u32(5)]), traf(1, [1, 0, 0, 0, ...u32(1), ...u32(7)]));
  expect(decodeTime(bytes(moof, box("mdat", zeros(4))), 1)).toBe(2 ** 32 + 7);
  expect(decodeTime(bytes(moof), 2)).toBe(5);
});

test("what is not MP4 tells nothing and does not throw", () => {
  expect(initFacts(bytes(zeros(40)))).toBeUndefined();
  expect(decodeTime(bytes(u32(1_000_000), [1, 2, 3, 4]), 1)).toBeUndefined();
});
