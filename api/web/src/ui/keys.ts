/** Keys by their place on the keyboard (`event.code`), because a Chinese input method hides `event.key`. */
import { useEffect, useRef } from "react";

/** True while the person is writing, choosing in a dialog, or composing a character. */
export function busyWriting(event: KeyboardEvent): boolean {
  if (event.isComposing) return true;
  const target = event.target instanceof Element ? event.target : undefined;
  if (target?.closest("input, textarea, select, [contenteditable='true'], [role='dialog']")) return true;
  return document.querySelector("[role='dialog'], [role='alertdialog']") !== null;
}

/** The digit of a key on the number row or the keypad. */
export const digitOf = (code: string): string | undefined => /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];

/** Hears keys of the whole window while mounted, before the focused control does: a number typed after a button was clicked ends
 * with Enter, and that Enter must not press the button. The handler returns true for a key it used. */
export function useKeys(handler: (event: KeyboardEvent) => boolean): void {
  const latest = useRef(handler);
  latest.current = handler;
  useEffect(() => {
    const hear = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || busyWriting(event)) return;
      if (!latest.current(event)) return;
      event.preventDefault();
      event.stopPropagation();
    };
    window.addEventListener("keydown", hear, { capture: true });
    return () => window.removeEventListener("keydown", hear, { capture: true });
  }, []);
}
