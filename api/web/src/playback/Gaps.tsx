/** The gaps of the visible span as a list: what the hatching means, in words, without a pointer. */
import { nodeNowUs } from "../api";
import { useWords } from "../i18n";
import { moment, span } from "../time";
import { Button } from "../ui/controls";
import type { Coverage, UtcMicros } from "../wire";
import { gapsIn } from "./coverage";
import styles from "./Playback.module.css";
import type { View } from "./scale";

const MOST_ROWS = 60;

export function Gaps({ coverage, view, onGo }: { coverage: Coverage | undefined; view: View; onGo(us: UtcMicros): void }) {
  const words = useWords();
  const nowUs = nodeNowUs();
  const gaps = coverage ? gapsIn(coverage.rows, view.fromUs, view.toUs).slice(0, MOST_ROWS) : [];
  return (
    <section className={styles.gaps} aria-label={words("playback_gaps")}>
      <h2>{words("playback_gaps")}</h2>
      {coverage && gaps.length === 0 && <p className={styles.dim}>{words("playback_gaps_none")}</p>}
      <ul>
        {gaps.map((gap) => {
          const cause = coverage?.causes[gap.code];
          return (
            <li key={`${gap.camera}-${gap.fromUs}`}>
              <Button look="quiet" onPress={() => onGo(gap.fromUs - 2e6)}>
                <span className={styles.gap}>
                  <span>
                    ▨{" "}
                    {words("playback_gaps_row", {
                      number: gap.camera,
                      from: moment(gap.fromUs, nowUs),
                      to: moment(gap.toUs, nowUs).slice(-8),
                      span: span((gap.toUs - gap.fromUs) / 1000),
                    })}
                  </span>
                  <span className={styles.dim}>
                    {cause ? words.of(cause) : gap.code}
                    {gap.detail && ` · ${gap.detail}`}
                  </span>
                </span>
              </Button>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
