/** The pages of health: how things are now, what was recorded, how long it is kept, what must not or must be deleted. */
import { Link } from "@tanstack/react-router";
import { useWords } from "../i18n";
import styles from "./Keeping.module.css";

export function Tabs() {
  const words = useWords();
  return (
    <nav className={styles.tabs} aria-label={words("health_label")}>
      <Link to="/health" activeOptions={{ exact: true }}>
        {words("tab_now")}
      </Link>
      <Link to="/health/ledger">{words("tab_ledger")}</Link>
      <Link to="/health/retention">{words("tab_retention")}</Link>
      <Link to="/health/holds">{words("tab_holds")}</Link>
      <Link to="/health/erasures">{words("tab_erasures")}</Link>
    </nav>
  );
}
