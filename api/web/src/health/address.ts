/** `/health?f=南门`: the filter of the camera table. */
export type HealthAddress = { f?: string };

export function readHealth(search: Record<string, unknown>): HealthAddress {
  return typeof search.f === "string" && search.f !== "" ? { f: search.f } : {};
}
