/** `/records?person=王&camera=1042&action=export`: the filters of the register. */
export const ACTIONS = ["live", "playback", "still", "export", "search"] as const;
export type RecordsAddress = { person?: string; camera?: number; action?: (typeof ACTIONS)[number] };

export function readRecords(search: Record<string, unknown>): RecordsAddress {
  const camera = Number(search.camera);
  const action = ACTIONS.find((known) => known === search.action);
  return {
    ...(typeof search.person === "string" && search.person !== "" && { person: search.person }),
    ...(Number.isSafeInteger(camera) && camera > 0 && { camera }),
    ...(action && { action }),
  };
}
