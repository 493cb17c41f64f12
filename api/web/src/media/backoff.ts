/** How long to wait before the next attempt to reach the server: 0.5 s doubling to 8 s, then 8 s for ever, each halved at
 * random, so that forty pages that lost the same server do not come back in the same instant. `random` is in 0..1. */
export function reconnectDelayMs(attempt: number, random: number): number {
  const ceiling = Math.min(8000, 500 * 2 ** Math.min(attempt, 10));
  return ceiling * (0.5 + random / 2);
}
