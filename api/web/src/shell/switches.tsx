import { useWords } from "../i18n";
import { useSettings } from "../settings";
import { Button } from "../ui/controls";

/** Each language's switch is written in the other language, so that whoever needs it can read it. */
export function LanguageSwitch() {
  const words = useWords();
  const setLanguage = useSettings((settings) => settings.setLanguage);
  const other = words.language === "zh" ? "en" : "zh";
  return (
    <Button look="quiet" aria-label={words("language_switch_label")} onPress={() => setLanguage(other)}>
      <span lang={other === "zh" ? "zh-CN" : "en"}>{words("language_switch")}</span>
    </Button>
  );
}

export function ThemeSwitch() {
  const words = useWords();
  const { theme, setTheme } = useSettings();
  const other = theme === "dark" ? "light" : "dark";
  const name = words(other === "dark" ? "theme_dark" : "theme_light");
  return (
    <Button look="quiet" aria-label={words("theme_switch_label", { theme: name })} onPress={() => setTheme(other)}>
      {other === "dark" ? "◐" : "◑"}
    </Button>
  );
}
