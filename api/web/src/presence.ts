/**
 * Whether somebody is at this window. What the page asks by itself must not keep a sign-in alive that was left alone, so requests
 * say whether a person used the window lately.
 */

/** A hand that rests is still there: a mouse is moved, a key pressed, at least this often by somebody who works. */
const LATELY_MS = 60_000;
const SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "touchstart"];

/** Opening the page is a person's doing. */
let seenMs = performance.now();

export function somebodyIsHere(): boolean {
  return performance.now() - seenMs < LATELY_MS;
}

/** Begins to look for signs of a person in a window. A worker has none. */
export function watchFor(window: Pick<EventTarget, "addEventListener">): void {
  const seen = () => {
    seenMs = performance.now();
  };
  for (const sign of SIGNS) window.addEventListener(sign, seen, { capture: true, passive: true });
}

if (typeof document !== "undefined") watchFor(globalThis);
