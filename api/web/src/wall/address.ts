/** `/wall?l=16&p=2&s=1042&q=main`: layout, group, the camera in the spot, its stream. */
export const LAYOUTS = [1, 4, 9, 16, 25, 36, 64] as const;
export type Layout = (typeof LAYOUTS)[number];
export type SpotStream = "auto" | "sub" | "main";
export type WallAddress = { l?: Layout; p?: number; s?: number; q?: "sub" | "main" };

export const positive = (value: unknown): number | undefined => {
  const number = Number(value);
  return Number.isSafeInteger(number) && number > 0 ? number : undefined;
};

export function readWall(search: Record<string, unknown>): WallAddress {
  const layout = LAYOUTS.find((known) => String(known) === String(search.l));
  const group = positive(search.p);
  const spot = positive(search.s);
  const stream = search.q === "sub" || search.q === "main" ? search.q : undefined;
  return { ...(layout && { l: layout }), ...(group && { p: group }), ...(spot && { s: spot }), ...(stream && { q: stream }) };
}
