/** `/admin?s=people`: which of the administrator's lists. */
export const SECTIONS = ["cameras", "people", "rules", "hooks"] as const;
export type Section = (typeof SECTIONS)[number];
export type AdminAddress = { s?: Section };

export function readAdmin(search: Record<string, unknown>): AdminAddress {
  const section = SECTIONS.find((known) => known === search.s);
  return section ? { s: section } : {};
}
