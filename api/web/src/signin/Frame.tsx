/** The frame around everything that comes before the first picture: brand, one form, language and theme. */
import { type FormEvent, type ReactNode, useId } from "react";
import { useWords } from "../i18n";
import { LanguageSwitch, ThemeSwitch } from "../shell/switches";
import styles from "./SignIn.module.css";

export function Frame({ title, onSubmit, children }: { title: string; onSubmit(): void; children: ReactNode }) {
  const words = useWords();
  const heading = useId();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    onSubmit();
  };
  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <div className={styles.brand}>
          <img src="/icon.svg" alt="" />
          <div>
            <strong>{words("product")}</strong>
            <span>{words("product_line")}</span>
          </div>
        </div>
        <form className={styles.form} onSubmit={submit} aria-labelledby={heading}>
          <h1 id={heading}>{title}</h1>
          {children}
        </form>
        <div className={styles.foot}>
          <LanguageSwitch />
          <ThemeSwitch />
        </div>
      </div>
    </main>
  );
}
