import { useState } from "react";
import { useWords } from "../i18n";
import { Field, Radios } from "../ui/controls";
import type { Purpose } from "../wire";
import { CATEGORIES, categoryKey, shiftKey } from "./purpose";
import styles from "./SignIn.module.css";

/** The declared purpose: "duty" proposes the shift's words, everything else must be said. */
export function usePurpose(initial?: Purpose | null) {
  const words = useWords();
  const [category, setCategory] = useState<Purpose["category"]>(initial?.category ?? "duty");
  const [typed, setTyped] = useState<string | undefined>(initial?.text);
  const text = typed ?? (category === "duty" ? words(shiftKey(new Date().getHours())) : "");
  const choose = (chosen: Purpose["category"]) => {
    setCategory(chosen);
    setTyped(undefined);
  };
  return { purpose: { category, text: text.trim() } satisfies Purpose, text, category, choose, setText: setTyped };
}

export function PurposeFields({ category, text, choose, setText }: Omit<ReturnType<typeof usePurpose>, "purpose">) {
  const words = useWords();
  return (
    <>
      <Radios
        label={words("sign_in_purpose")}
        value={category}
        onChange={choose}
        options={CATEGORIES.map((value) => ({ value, text: words(categoryKey(value)) }))}
      />
      <Field label={words("sign_in_purpose_text")} value={text} onChange={setText} isRequired name="purpose" maxLength={200} />
      <p className={styles.hint}>{words("sign_in_purpose_hint")}</p>
    </>
  );
}
