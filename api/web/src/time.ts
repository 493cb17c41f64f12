/** Times as operators read them: 24 hours, this machine's time zone, the date only when it is not today. */
import type { UtcMicros } from "./wire";

const two = (value: number) => String(value).padStart(2, "0");

export function clockTime(us: UtcMicros): string {
  const date = new Date(us / 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

export function calendarDay(us: UtcMicros): string {
  const date = new Date(us / 1000);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** `14:05:27`, or `2026-11-22 14:05:27` when the day differs from `nowUs`'s. */
export function moment(us: UtcMicros, nowUs: UtcMicros): string {
  return calendarDay(us) === calendarDay(nowUs) ? clockTime(us) : `${calendarDay(us)} ${clockTime(us)}`;
}

/** `2026-11-22 14:04:31.200`: for the pointer and the play head, where a tenth matters. */
export function preciseTime(us: UtcMicros): string {
  const millis = Math.floor((((us / 1000) % 1000) + 1000) % 1000);
  return `${calendarDay(us)} ${clockTime(us)}.${String(millis).padStart(3, "0")}`;
}

/** A span as `12 s`, `03:20`, `2:03:20` or `4 d 02 h`. */
export function span(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${two(Math.floor(s / 60))}:${two(s % 60)}`;
  if (s < 86_400) return `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return `${Math.floor(s / 86_400)} d ${two(Math.floor(s / 3600) % 24)} h`;
}

/** A typed time on the day of `nowUs`: `1404`, `14:04`, `140431`, `14:04:31`. A time still to come means yesterday's. */
export function typedTime(text: string, nowUs: UtcMicros): UtcMicros | undefined {
  const match = /^(\d{1,2}):?(\d{2})(?::?(\d{2}))?$/.exec(text.trim());
  if (!match) return undefined;
  const [hours, minutes, seconds] = [Number(match[1]), Number(match[2]), Number(match[3] ?? 0)];
  if (hours > 23 || minutes > 59 || seconds > 59) return undefined;
  const date = new Date(nowUs / 1000);
  date.setHours(hours, minutes, seconds, 0);
  if (date.getTime() * 1000 > nowUs) date.setDate(date.getDate() - 1);
  return date.getTime() * 1000;
}
