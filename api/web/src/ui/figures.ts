/** Amounts as operators read them. */

/** Bytes as disks are sold: `1.25 TB`, `3.2 GB`, `640 MB`, and `0`. */
export function bytes(value: number): string {
  if (value === 0) return "0";
  if (value >= 1e12) return `${(value / 1e12).toFixed(2)} TB`;
  if (value >= 1e9) return `${(value / 1e9).toFixed(1)} GB`;
  return `${Math.round(value / 1e6)} MB`;
}
