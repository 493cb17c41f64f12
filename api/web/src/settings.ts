/** What one workstation remembers: language, theme, and the last purpose text. The person's choice, never the system's. */
import { create } from "zustand";
import { persist } from "zustand/middleware";
import type { Language } from "./i18n";

export type Theme = "dark" | "light";

type Settings = {
  language: Language;
  theme: Theme;
  setLanguage(language: Language): void;
  setTheme(theme: Theme): void;
};

export const useSettings = create<Settings>()(
  persist(
    (set) => ({
      language: "zh",
      theme: "dark",
      setLanguage: (language) => set({ language }),
      setTheme: (theme) => set({ theme }),
    }),
    { name: "haohe-settings", partialize: ({ language, theme }) => ({ language, theme }) },
  ),
);

export function applySettings({ language, theme }: Pick<Settings, "language" | "theme">): void {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.documentElement.dataset.theme = theme;
}
