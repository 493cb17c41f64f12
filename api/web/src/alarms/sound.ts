/** Two tones, made here: no file to load, none to be missing. A browser that lets no page sound before a click stays silent. */
import type { Tone } from "./list";

/** Frequencies in hertz, each for so many seconds. */
const TONES: Record<Tone, readonly (readonly [number, number])[]> = {
  urgent: [
    [880, 0.18],
    [660, 0.18],
    [880, 0.18],
  ],
  high: [[660, 0.25]],
};
/** Quiet enough for a room with people, loud enough beside fans. */
const LOUDNESS = 0.12;

let context: AudioContext | undefined;

export function ring(tone: Tone): void {
  context ??= typeof AudioContext === "undefined" ? undefined : new AudioContext();
  if (!context) return;
  // Refused before the first click; then there is no sound, and the list still shows what is.
  context.resume().catch(() => {});
  let at = context.currentTime;
  for (const [frequency, seconds] of TONES[tone]) {
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.frequency.value = frequency;
    gain.gain.setValueAtTime(LOUDNESS, at);
    gain.gain.exponentialRampToValueAtTime(0.001, at + seconds);
    tone.connect(gain).connect(context.destination);
    tone.start(at);
    tone.stop(at + seconds);
    at += seconds;
  }
}
