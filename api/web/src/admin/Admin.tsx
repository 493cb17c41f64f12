/** Administration: cameras, people, rules, and what other systems were not told of. What the configuration file manages is shown and not changed here. */
import { useNavigate, useSearch } from "@tanstack/react-router";
import styles from "../health/Health.module.css";
import { useWords } from "../i18n";
import { mayAdminister, useMe } from "../session";
import { Choice } from "../ui/controls";
import type { Section } from "./address";
import { Cameras } from "./Cameras";
import { Hooks } from "./Hooks";
import { People } from "./People";
import { Rules } from "./Rules";

export function Admin() {
  const words = useWords();
  const { me } = useMe();
  const { s = "cameras" } = useSearch({ from: "/admin" });
  const go = useNavigate({ from: "/admin" });
  if (me && !mayAdminister(me)) return <p className={styles.message}>{words("admin_no_role")}</p>;
  return (
    <div className={styles.page}>
      <div className={styles.head}>
        <h1>{words("admin_label")}</h1>
        <Choice<Section>
          label={words("admin_label")}
          value={s}
          options={[
            { value: "cameras", text: words("health_cameras") },
            { value: "people", text: words("people_label") },
            { value: "rules", text: words("rules_label") },
            { value: "hooks", text: words("hooks_label") },
          ]}
          onChange={(section) => go({ search: section === "cameras" ? {} : { s: section }, replace: true })}
        />
      </div>
      {s === "hooks" ? <Hooks /> : s === "rules" ? <Rules /> : s === "people" ? <People /> : <Cameras />}
    </div>
  );
}
