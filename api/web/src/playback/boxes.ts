/** The little that the player must know of MP4: codecs and time scale of an init segment, decode time of a fragment. Pure. */

type Box = { type: string; start: number; end: number };

const typeAt = (view: DataView, offset: number) =>
  String.fromCharCode(view.getUint8(offset), view.getUint8(offset + 1), view.getUint8(offset + 2), view.getUint8(offset + 3));

/** The boxes between two offsets; stops at the first that does not fit. */
function* boxes(view: DataView, from: number, to: number): Generator<Box> {
  let offset = from;
  while (offset + 8 <= to) {
    let size = view.getUint32(offset);
    let header = 8;
    if (size === 1 && offset + 16 <= to) {
      size = Number(view.getBigUint64(offset + 8));
      header = 16;
    }
    if (size < header || offset + size > to) return;
    yield { type: typeAt(view, offset + 4), start: offset + header, end: offset + size };
    offset += size;
  }
}

function find(view: DataView, path: string[], from = 0, to = view.byteLength): Box | undefined {
  let place: Box | undefined = { type: "", start: from, end: to };
  for (const type of path) {
    if (!place) return undefined;
    place = [...boxes(view, place.start, place.end)].find((box) => box.type === type);
  }
  return place;
}

const hex = (value: number) => value.toString(16).padStart(2, "0");

export type InitFacts = { mime: string; codec: string; trackId: number; timescale: number };

/** Facts of the first video track; `undefined` when there is none that is understood. */
export function initFacts(bytes: ArrayBuffer): InitFacts | undefined {
  const view = new DataView(bytes);
  const moov = find(view, ["moov"]);
  if (!moov) return undefined;
  const codecs: string[] = [];
  let facts: InitFacts | undefined;
  for (const trak of boxes(view, moov.start, moov.end)) {
    if (trak.type !== "trak") continue;
    const stsd = find(view, ["mdia", "minf", "stbl", "stsd"], trak.start, trak.end);
    const mdhd = find(view, ["mdia", "mdhd"], trak.start, trak.end);
    const tkhd = find(view, ["tkhd"], trak.start, trak.end);
    if (!stsd || !mdhd || !tkhd) continue;
    const entry = [...boxes(view, stsd.start + 8, stsd.end)][0];
    const codec = entry && codecOf(view, entry);
    if (!codec) continue;
    codecs.push(codec);
    if (facts || codec.startsWith("mp4a")) continue;
    const long = view.getUint8(mdhd.start) === 1;
    const longId = view.getUint8(tkhd.start) === 1;
    facts = {
      mime: "",
      codec,
      trackId: view.getUint32(tkhd.start + (longId ? 20 : 12)),
      timescale: view.getUint32(mdhd.start + (long ? 20 : 12)),
    };
  }
  return facts && { ...facts, mime: `video/mp4; codecs="${codecs.join(",")}"` };
}

/** Fields before the child boxes of a visual sample entry (ISO/IEC 14496-12, 12.1.3). */
const VISUAL_ENTRY_BYTES = 78;

function codecOf(view: DataView, entry: Box): string | undefined {
  if (entry.type === "mp4a") return "mp4a.40.2";
  const inside = () => [...boxes(view, entry.start + VISUAL_ENTRY_BYTES, entry.end)];
  if (entry.type === "avc1" || entry.type === "avc3") {
    const avcc = inside().find((box) => box.type === "avcC");
    if (!avcc) return undefined;
    return `${entry.type}.${hex(view.getUint8(avcc.start + 1))}${hex(view.getUint8(avcc.start + 2))}${hex(view.getUint8(avcc.start + 3))}`;
  }
  if (entry.type === "hvc1" || entry.type === "hev1") {
    const hvcc = inside().find((box) => box.type === "hvcC");
    return hvcc && hevcCodec(view, entry.type, hvcc.start);
  }
  return entry.type;
}

/** ISO/IEC 14496-15, annex E.3: profile, compatibility flags in reverse bit order, tier and level, constraint bytes. */
function hevcCodec(view: DataView, type: string, at: number): string {
  const profile = view.getUint8(at + 1);
  let flags = view.getUint32(at + 2);
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) {
    reversed = ((reversed << 1) | (flags & 1)) >>> 0;
    flags >>>= 1;
  }
  const constraints: string[] = [];
  for (let index = 0; index < 6; index++) constraints.push(view.getUint8(at + 6 + index).toString(16));
  while (constraints.at(-1) === "0") constraints.pop();
  const tier = profile & 0x20 ? "H" : "L";
  const parts = [type, String(profile & 0x1f), reversed.toString(16), `${tier}${view.getUint8(at + 12)}`, ...constraints];
  return parts.join(".");
}

/** When a fragment's first unit of a track decodes, in that track's time scale. */
export function decodeTime(bytes: ArrayBuffer, trackId: number): number | undefined {
  const view = new DataView(bytes);
  const moof = find(view, ["moof"]);
  if (!moof) return undefined;
  for (const traf of boxes(view, moof.start, moof.end)) {
    if (traf.type !== "traf") continue;
    const tfhd = find(view, ["tfhd"], traf.start, traf.end);
    const tfdt = find(view, ["tfdt"], traf.start, traf.end);
    if (!tfhd || !tfdt || view.getUint32(tfhd.start + 4) !== trackId) continue;
    return view.getUint8(tfdt.start) === 1 ? Number(view.getBigUint64(tfdt.start + 4)) : view.getUint32(tfdt.start + 4);
  }
  return undefined;
}
