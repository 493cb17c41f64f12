/**
 * What happened around an event, without playing it: eight key pictures, the pointer's place over the still says which. They are the
 * recorder's own key units, so looking costs the node no decoding; it stands in the register as playback.
 */
import { type PointerEvent, useEffect, useRef, useState } from "react";
import { Scrubber } from "../playback/scrub";
import type { StreamKind, UtcMicros } from "../wire";
import { instantOf, PICTURES, pictureAt } from "./around";
import styles from "./Events.module.css";

/** A pointer that only crosses the list asks for nothing. */
const LINGER_MS = 150;

/** The picture that the pointer is at, and what a still needs to know of the pointer. */
export function useStrip() {
  const [at, setAt] = useState<number>();
  const move = ({ currentTarget, clientX, pointerType }: PointerEvent<HTMLElement>) => {
    if (pointerType === "touch") return;
    const { left, width } = currentTarget.getBoundingClientRect();
    setAt(pictureAt((clientX - left) / width));
  };
  return { at, handlers: { onPointerMove: move, onPointerLeave: () => setAt(undefined) } };
}

export function Strip({ camera, stream, atUs, at }: { camera: number; stream: StreamKind; atUs: UtcMicros; at: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const scrubber = useRef<Scrubber>(undefined);
  const [shown, setShown] = useState(false);
  const [lingers, setLingers] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLingers(true), LINGER_MS);
    return () => clearTimeout(timer);
  }, []);
  useEffect(() => {
    if (!lingers || !canvas.current) return;
    const own = new Scrubber(stream, (_, what) => setShown(what === "picture"));
    own.attach(camera, canvas.current);
    scrubber.current = own;
    return () => own.close();
  }, [lingers, camera, stream]);
  useEffect(() => {
    if (lingers) scrubber.current?.at(instantOf(atUs, at), performance.now(), false);
  }, [lingers, atUs, at]);
  return (
    <>
      <canvas ref={canvas} className={styles.strip} data-strip={shown ? at : "none"} aria-hidden />
      <span className={styles.ticks} aria-hidden>
        {Array.from({ length: PICTURES }, (_, n) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they are places, not things
          <i key={n} data-at={n === at} />
        ))}
      </span>
    </>
  );
}
