/** What one workstation remembers: language, theme, and whether single keys act. The person's choice, never the system's. */
import { create } from "zustand";
import { persist } from "zustand/middleware";
import type { Language } from "./i18n";

export type Theme = "dark" | "light";

type Settings = {
  language: Language;
  theme: Theme;
  /** Keys that work alone, without Control: off for whoever dictates. */
  singleKeys: boolean;
  /** Whether alarms ring here. */
  sound: boolean;
  setLanguage(language: Language): void;
  setTheme(theme: Theme): void;
  setSingleKeys(singleKeys: boolean): void;
  setSound(sound: boolean): void;
};

export const useSettings = create<Settings>()(
  persist(
    (set) => ({
      language: "zh",
      theme: "dark",
      singleKeys: true,
      sound: true,
      setLanguage: (language) => set({ language }),
      setTheme: (theme) => set({ theme }),
      setSingleKeys: (singleKeys) => set({ singleKeys }),
      setSound: (sound) => set({ sound }),
    }),
    { name: "haohe-settings", partialize: ({ language, theme, singleKeys, sound }) => ({ language, theme, singleKeys, sound }) },
  ),
);

export function applySettings({ language, theme }: Pick<Settings, "language" | "theme">): void {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.documentElement.dataset.theme = theme;
}
