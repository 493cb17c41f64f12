/**
 * When a picture is too old to pass for live. Judged by what was *presented*, never by bytes that arrived: a decoder that
 * hangs, a worker that dies and a camera that freezes all look the same here, and all get the mark.
 */

/** Two groups of pictures of two seconds each: a key-frame tile that keeps up is never older. */
export const STALE_AFTER_MS = 4000;

export type Presented = {
  /** When the picture was drawn, milliseconds of this machine's monotonic clock. */
  atMs: number;
  /** When the camera's picture was received by the node, microseconds UTC. */
  utcUs: number;
};

/** How old the picture on screen is, in milliseconds: the longer of "drawn so long ago" and "received by the node so long ago".
 * The second catches a cached picture drawn only now. `nodeUs` is the node's clock, estimated at `nowMs`. */
export function ageMs(presented: Presented, nowMs: number, nodeUs: number): number {
  return Math.max(0, nowMs - presented.atMs, (nodeUs - presented.utcUs) / 1000);
}
