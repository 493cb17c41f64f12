import { useEffect, useState } from "react";
import { nodeNowUs } from "../api";
import { type Key, useWords } from "../i18n";
import { useSessionActs } from "../session";
import { categoryKey } from "../signin/purpose";
import { clockTime, span } from "../time";
import { Button } from "../ui/controls";
import { caps } from "../ui/keymap";
import { useWaitingKey } from "../ui/keys";
import type { Me } from "../wire";
import styles from "./Shell.module.css";
import { LanguageSwitch, ThemeSwitch } from "./switches";

/** The tier's word; a tier this page does not know is shown as the node wrote it. */
function tierWord(words: (key: Key) => string, tier: string): string {
  return tier === "room" || tier === "subdistrict" || tier === "district" ? words(`tier_${tier}`) : tier;
}

/** Node, connection, the node's clock, person and purpose. Hatched while the node does not answer. */
export function TopBar({
  me,
  lostSinceMs,
  onPurpose,
  onKeys,
}: {
  me: Me;
  lostSinceMs: number | undefined;
  onPurpose(): void;
  onKeys(): void;
}) {
  const words = useWords();
  const { signOut } = useSessionActs();
  return (
    <header className={styles.bar} data-lost={lostSinceMs !== undefined}>
      <span className={styles.brand}>
        <img src="/icon.svg" alt={words("product")} />
      </span>
      <span>
        <span className={styles.node}>{me.node?.name}</span>
        {me.node && !me.node.name.includes(tierWord(words, me.node.tier)) && (
          <span className={styles.dim}> {tierWord(words, me.node.tier)}</span>
        )}
      </span>
      <span className={styles.spring} aria-live="polite">
        {lostSinceMs !== undefined && <Lost sinceMs={lostSinceMs} />}
      </span>
      <Waiting />
      {me.purpose && (
        <Button look="quiet" onPress={onPurpose}>
          <span className="unseen">{words("purpose_change")}</span>
          <span className={styles.purpose}>
            <span className={styles.dim}>{words("purpose_label")} </span>
            {words(categoryKey(me.purpose.category))}
            {me.purpose.text !== "" && ` · ${me.purpose.text}`}
          </span>
        </Button>
      )}
      <span className={styles.person}>{me.person.display || me.person.name}</span>
      <Clock />
      <Button look="quiet" onPress={onKeys} aria-label={words("keys_title")}>
        ?
      </Button>
      <LanguageSwitch />
      <ThemeSwitch />
      <Button look="quiet" onPress={signOut}>
        {words("sign_out")}
      </Button>
    </header>
  );
}

/** A sequence that has begun: `G …`. */
function Waiting() {
  const chord = useWaitingKey((state) => state.chord);
  if (chord === undefined) return null;
  return (
    <span className={styles.waiting}>
      <kbd>{caps(chord).join(" ")}</kbd> …
    </span>
  );
}

function useSecond(): void {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 500);
    return () => clearInterval(timer);
  }, []);
}

function Clock() {
  useSecond();
  return <time className={styles.clock}>{clockTime(nodeNowUs())}</time>;
}

function Lost({ sinceMs }: { sinceMs: number }) {
  useSecond();
  const words = useWords();
  return <span className={styles.lost}>⊘ {words("connection_lost", { span: span(Date.now() - sinceMs) })}</span>;
}
