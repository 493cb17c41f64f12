/** How many events when: bars that can be clicked, or drawn over, to ask about that time only. The range fields do the same. */
import { type PointerEvent, useRef, useState } from "react";
import { nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { moment } from "../time";
import type { EventHistogram } from "../wire";
import styles from "./Events.module.css";

const HEIGHT = 56;

export function Histogram({ histogram, onSpan }: { histogram: EventHistogram; onSpan(fromS: number, toS: number): void }) {
  const words = useWords();
  const svg = useRef<SVGSVGElement>(null);
  const [drag, setDrag] = useState<{ from: number; to: number }>();
  const [over, setOver] = useState<number>();
  const { counts, from_us, step_s } = histogram;
  const most = Math.max(1, ...counts);
  const nowUs = nodeNowUs();
  const startUs = (bar: number) => from_us + bar * step_s * 1e6;
  const barAt = (event: PointerEvent) => {
    const box = svg.current?.getBoundingClientRect();
    const share = box ? (event.clientX - box.left) / box.width : 0;
    return Math.max(0, Math.min(counts.length - 1, Math.floor(share * counts.length)));
  };
  const up = () => {
    if (drag) {
      const [first, last] = [Math.min(drag.from, drag.to), Math.max(drag.from, drag.to)];
      onSpan(startUs(first) / 1e6, startUs(last + 1) / 1e6);
    }
    setDrag(undefined);
  };
  const total = counts.reduce((sum, count) => sum + count, 0);
  return (
    <figure className={styles.histogram}>
      <svg
        ref={svg}
        viewBox={`0 0 ${counts.length} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={words("events_histogram", { n: total, from: moment(from_us, nowUs), bars: counts.length })}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          const bar = barAt(event);
          setDrag({ from: bar, to: bar });
        }}
        onPointerMove={(event) => {
          const bar = barAt(event);
          setOver(bar);
          if (drag) setDrag({ ...drag, to: bar });
        }}
        onPointerUp={up}
        onPointerCancel={() => setDrag(undefined)}
        onPointerLeave={() => setOver(undefined)}
      >
        {drag && (
          <rect
            className={styles.brush}
            x={Math.min(drag.from, drag.to)}
            width={Math.abs(drag.to - drag.from) + 1}
            y={0}
            height={HEIGHT}
          />
        )}
        {counts.map((count, bar) => {
          const height = count === 0 ? 0 : Math.max(2, (count / most) * (HEIGHT - 4));
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place in time.
            <rect key={bar} data-over={over === bar} x={bar + 0.08} width={0.84} y={HEIGHT - height} height={height} />
          );
        })}
      </svg>
      <figcaption>
        <span>{moment(from_us, nowUs)}</span>
        <span>
          {over === undefined &&
            !histogram.complete &&
            histogram.counted_from_us !== null &&
            `◐ ${words("events_counted_from", { time: moment(histogram.counted_from_us, nowUs) })}`}
          {over !== undefined &&
            words("events_bar", { time: moment(startUs(over), nowUs), n: counts[over] ?? 0, span: `${step_s / 60} min` })}
        </span>
        <span>{moment(startUs(counts.length), nowUs)}</span>
      </figcaption>
    </figure>
  );
}
