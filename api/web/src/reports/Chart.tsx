/** One measure over the periods, drawn by hand: a line for all together, and one for the row that is chosen. */
import { scaled } from "./figures";
import styles from "./Reports.module.css";

const [WIDE, HIGH, PAD] = [360, 84, 6];

export function Chart({
  title,
  last,
  values,
  beside,
  isShare,
  axis,
}: {
  title: string;
  /** The newest figure, in words. */
  last: string;
  values: readonly (number | undefined)[];
  /** Those of the chosen row. */
  beside?: readonly (number | undefined)[] | undefined;
  isShare: boolean;
  axis(value: number): string;
}) {
  const both = scaled([...values, ...(beside ?? [])], isShare);
  const heights = [both.at.slice(0, values.length), both.at.slice(values.length)];
  const x = (n: number) => (values.length > 1 ? PAD + (n * (WIDE - 2 * PAD)) / (values.length - 1) : WIDE / 2);
  const y = (height: number) => HIGH - PAD - height * (HIGH - 2 * PAD);
  return (
    <figure className={styles.chart}>
      <figcaption>
        {title} <b>{last}</b>
      </figcaption>
      <div className={styles.plot}>
        <svg viewBox={`0 0 ${WIDE} ${HIGH}`} preserveAspectRatio="none" aria-hidden>
          <path className={styles.axis} d={`M0 ${y(0)}H${WIDE}M0 ${y(1)}H${WIDE}`} />
          {heights.map((line, which) => (
            <path key={which === 0 ? "all" : "one"} className={which === 0 ? styles.all : styles.one} d={path(line, x, y)} />
          ))}
        </svg>
        <span className={styles.top}>{axis(both.high)}</span>
        <span className={styles.bottom}>{axis(both.low)}</span>
      </div>
    </figure>
  );
}

/** A line that is interrupted where there is no figure; a figure alone is a short stroke. */
function path(heights: readonly (number | null)[], x: (n: number) => number, y: (height: number) => number): string {
  const known = (n: number) => heights[n] !== null && heights[n] !== undefined;
  const piece = (height: number | null, n: number) => {
    if (height === null) return "";
    const alone = !known(n - 1) && !known(n + 1);
    return `${known(n - 1) ? "L" : "M"}${x(n).toFixed(1)} ${y(height).toFixed(1)}${alone ? "h3" : ""}`;
  };
  return heights.map(piece).join("");
}
