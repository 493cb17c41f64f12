/** Hears the keys of the table in `keymap` and hands each to the page that binds it. */
import { useEffect, useRef } from "react";
import { create } from "zustand";
import { useSettings } from "../settings";
import { type Act, Chords, chordOf, PREFIX_MS, type Scope } from "./keymap";

/** True while the person is writing, choosing in a dialog, or composing a character. */
export function busyWriting(event: KeyboardEvent): boolean {
  if (event.isComposing) return true;
  const target = event.target instanceof Element ? event.target : undefined;
  if (target?.closest("input, textarea, select, [contenteditable='true'], [role='dialog']")) return true;
  return document.querySelector("[role='dialog'], [role='alertdialog']") !== null;
}

/** The first key of a sequence that waits for its second, for the bar to show. */
export const useWaitingKey = create<{ chord: string | undefined }>(() => ({ chord: undefined }));

/** An act leaves its key to others (the focused control, an outer scope) by returning false. */
export type Acts<S extends Scope> = Record<Act<S>, (event: KeyboardEvent) => unknown>;

type Heard = { scope: Scope; acts: () => Record<string, (event: KeyboardEvent) => unknown> };

/** Innermost first. */
const listening: Heard[] = [];
const chords = new Chords();
let waiting: ReturnType<typeof setTimeout> | undefined;

function wait(chord: string | undefined): void {
  clearTimeout(waiting);
  useWaitingKey.setState({ chord });
  if (chord !== undefined) waiting = setTimeout(() => wait(undefined), PREFIX_MS);
}

/** True for a key that was used. */
function hear(event: KeyboardEvent): boolean {
  const chord = chordOf(event);
  if (chord === undefined || busyWriting(event)) return false;
  // Whoever dictates or leans on keys can switch the single ones off (WCAG 2.1.4); Escape and chords with Control remain.
  if (!useSettings.getState().singleKeys && !event.ctrlKey && event.code !== "Escape") return false;
  const scopes = listening.map(({ scope }) => scope);
  const meanings = chords.meanings(chord, scopes, performance.now());
  wait(meanings[0]?.is === "prefix" ? meanings[0].chord : undefined);
  for (const meaning of meanings) {
    if (meaning.is === "prefix" || meaning.is === "lost") return true;
    if (meaning.is === "none") return false;
    const act = listening.find(({ scope }) => scope === meaning.scope)?.acts()[meaning.act];
    if (act && act(event) !== false) return true;
  }
  return false;
}

/** Hears before the focused control does: a number typed after a button was clicked ends with Enter, and that Enter must not
 * press the button. */
function listen(event: KeyboardEvent): void {
  if (!hear(event)) return;
  event.preventDefault();
  event.stopPropagation();
}

/** Binds every act of a scope while mounted. A page mounted inside another comes first. */
export function useKeyTable<S extends Scope>(scope: S, acts: Acts<S>): void {
  const latest = useRef<Acts<S>>(acts);
  latest.current = acts;
  useEffect(() => {
    const heard: Heard = { scope, acts: () => latest.current };
    if (listening.length === 0) window.addEventListener("keydown", listen, { capture: true });
    if (scope === "anywhere") listening.push(heard);
    else listening.unshift(heard);
    return () => {
      listening.splice(listening.indexOf(heard), 1);
      if (listening.length === 0) window.removeEventListener("keydown", listen, { capture: true });
    };
  }, [scope]);
}
