/** Words of the page. `zh.ts` is the source; a key that `en.ts` lacks does not compile. */
import { useSettings } from "../settings";
import { en as enPage } from "./en";
import * as incidents from "./incidents";
import { reportsEn, reportsZh } from "./reports";
import { zh as zhPage } from "./zh";

export const zh = { ...zhPage, ...incidents.zh, ...reportsZh };
export const en = { ...enPage, ...incidents.en, ...reportsEn };

export type Language = "zh" | "en";
/** A sentence that the node wrote in both languages. */
export type Both = { zh: string; en: string };
export type Key = keyof typeof zh;
export type Values = Record<string, string | number>;
export type Words = { (key: Key, values?: Values): string; language: Language; of(both: Both): string };

const tables: Record<Language, Record<Key, string>> = { zh, en };

/** Fills `{name}` places. An unknown place stays visible: better an odd word than a lost figure. */
export function fill(text: string, values: Values = {}): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));
}

export function wordsIn(language: Language): Words {
  const words = (key: Key, values?: Values) => fill(tables[language][key], values);
  return Object.assign(words, { language, of: (both: Both) => both[language] || both.zh });
}

const cached: Record<Language, Words> = { zh: wordsIn("zh"), en: wordsIn("en") };

export function useWords(): Words {
  return cached[useSettings((settings) => settings.language)];
}
