/**
 * Every key of the page, in one table: it binds them and it is what the help sheet prints, so neither can say what the other
 * does not do. Keys are places on the keyboard (`event.code`), because a Chinese input method hides `event.key`. Pure.
 *
 * A chord is `KeyR`, `Shift+KeyR`, `Control+KeyK`, or two in a row: `KeyG KeyW`. `Digit` is any digit of either block.
 */
import type { Key } from "../i18n";

export type Binding = { act: string; keys: readonly string[]; says: Key };

export const KEYMAP = {
  anywhere: [
    { act: "help", keys: ["Shift+Slash"], says: "keys_help" },
    { act: "wall", keys: ["KeyG KeyW"], says: "nav_wall" },
    { act: "playback", keys: ["KeyG KeyP"], says: "nav_playback" },
    { act: "events", keys: ["KeyG KeyE"], says: "nav_events" },
    { act: "incidents", keys: ["KeyG KeyI"], says: "nav_incidents" },
    { act: "health", keys: ["KeyG KeyH"], says: "nav_health" },
    { act: "records", keys: ["KeyG KeyR"], says: "nav_records" },
    { act: "reports", keys: ["KeyG KeyS"], says: "nav_reports" },
    { act: "admin", keys: ["KeyG KeyA"], says: "nav_admin" },
    { act: "fullscreen", keys: ["KeyF"], says: "keys_fullscreen" },
    { act: "up", keys: ["Escape"], says: "keys_up" },
  ],
  alarms: [
    { act: "acknowledge", keys: ["KeyA"], says: "alarms_acknowledge" },
    { act: "next", keys: ["KeyN"], says: "keys_alarm_next" },
    { act: "play", keys: ["KeyO"], says: "keys_event_open" },
  ],
  incidents: [
    { act: "next", keys: ["KeyJ", "ArrowDown"], says: "keys_incident_next" },
    { act: "previous", keys: ["KeyK", "ArrowUp"], says: "keys_incident_previous" },
    { act: "open", keys: ["Enter", "NumpadEnter"], says: "keys_incident_open" },
    { act: "close", keys: ["Escape"], says: "keys_incident_close" },
    { act: "acknowledge", keys: ["KeyA"], says: "act_acknowledge" },
    { act: "verify", keys: ["KeyV"], says: "act_verify" },
    { act: "dismiss", keys: ["KeyF Digit"], says: "act_dismiss" },
    { act: "dispatch", keys: ["KeyD Digit"], says: "act_dispatch" },
    { act: "arrive", keys: ["KeyR"], says: "act_arrive" },
    { act: "resolve", keys: ["KeyT"], says: "act_resolve" },
    { act: "end", keys: ["KeyC Digit"], says: "act_close" },
    { act: "escalate", keys: ["KeyU KeyU"], says: "act_escalate" },
    { act: "shelve", keys: ["KeyS Digit"], says: "act_shelve" },
    { act: "note", keys: ["KeyN"], says: "act_note" },
    { act: "attach", keys: ["KeyP"], says: "act_attach" },
    { act: "undo", keys: ["KeyZ"], says: "act_undo" },
    { act: "fresh", keys: ["Shift+KeyN"], says: "open_title" },
  ],
  wall: [
    { act: "incident", keys: ["Shift+KeyN"], says: "open_title" },
    { act: "digit", keys: ["Digit"], says: "keys_digit" },
    { act: "enter", keys: ["Enter", "NumpadEnter"], says: "keys_enter" },
    { act: "rub", keys: ["Backspace"], says: "keys_rub" },
    { act: "clear", keys: ["Escape"], says: "keys_clear" },
    { act: "up", keys: ["ArrowUp"], says: "keys_select" },
    { act: "down", keys: ["ArrowDown"], says: "keys_select" },
    { act: "left", keys: ["ArrowLeft"], says: "keys_select" },
    { act: "right", keys: ["ArrowRight"], says: "keys_select" },
    { act: "previous", keys: ["BracketLeft"], says: "wall_previous" },
    { act: "next", keys: ["BracketRight"], says: "wall_next" },
    { act: "replay", keys: ["KeyR"], says: "wall_to_playback" },
    { act: "replay_view", keys: ["Shift+KeyR"], says: "keys_replay_view" },
    { act: "labels", keys: ["KeyH"], says: "keys_labels" },
  ],
  playback: [
    { act: "incident", keys: ["Shift+KeyN"], says: "open_title" },
    { act: "toggle", keys: ["Space"], says: "keys_toggle" },
    { act: "stop", keys: ["KeyK"], says: "playback_pause" },
    { act: "faster", keys: ["KeyL"], says: "keys_faster" },
    { act: "slower", keys: ["KeyJ"], says: "keys_slower" },
    { act: "frame_back", keys: ["Comma"], says: "keys_frame_back" },
    { act: "frame_on", keys: ["Period"], says: "keys_frame_on" },
    { act: "back", keys: ["ArrowLeft"], says: "playback_back" },
    { act: "on", keys: ["ArrowRight"], says: "playback_forward" },
    { act: "minute_back", keys: ["Shift+ArrowLeft"], says: "keys_minute_back" },
    { act: "minute_on", keys: ["Shift+ArrowRight"], says: "keys_minute_on" },
    { act: "zoom_in", keys: ["Equal", "Shift+Equal", "NumpadAdd"], says: "timeline_zoom_in" },
    { act: "zoom_out", keys: ["Minus", "NumpadSubtract"], says: "timeline_zoom_out" },
    { act: "mark_in", keys: ["BracketLeft"], says: "playback_in" },
    { act: "mark_out", keys: ["BracketRight"], says: "playback_out" },
    { act: "export", keys: ["KeyE"], says: "playback_export" },
    { act: "region", keys: ["KeyR"], says: "region_title" },
    { act: "hold", keys: ["Shift+KeyH"], says: "holds_ask" },
    { act: "time", keys: ["KeyT"], says: "keys_time" },
  ],
  events: [
    { act: "incident", keys: ["Shift+KeyN"], says: "open_title" },
    { act: "search", keys: ["Slash"], says: "events_search" },
    { act: "next", keys: ["KeyJ", "ArrowDown"], says: "keys_event_next" },
    { act: "previous", keys: ["KeyK", "ArrowUp"], says: "keys_event_previous" },
    { act: "play", keys: ["Enter", "NumpadEnter"], says: "keys_event_play" },
    { act: "open", keys: ["Shift+Enter", "Shift+NumpadEnter"], says: "keys_event_open" },
    { act: "close", keys: ["Escape"], says: "preview_close" },
    { act: "choose", keys: ["KeyX"], says: "keys_event_choose" },
    { act: "export", keys: ["KeyE"], says: "keys_event_export" },
    { act: "view", keys: ["KeyV"], says: "keys_event_view" },
    { act: "range", keys: ["Digit"], says: "keys_range" },
    { act: "newest", keys: ["Period"], says: "keys_newest" },
  ],
  reports: [
    { act: "previous", keys: ["BracketLeft"], says: "reports_previous" },
    { act: "next", keys: ["BracketRight"], says: "reports_next" },
    { act: "step", keys: ["KeyT"], says: "reports_step" },
    { act: "measure", keys: ["KeyM"], says: "reports_measure" },
    { act: "print", keys: ["KeyP"], says: "reports_print" },
  ],
} as const satisfies Record<string, readonly Binding[]>;

export type Scope = keyof typeof KEYMAP;
export type Act<S extends Scope> = (typeof KEYMAP)[S][number]["act"];

export const SCOPES = Object.keys(KEYMAP) as Scope[];
export const bindingsOf = (scope: Scope): readonly Binding[] => KEYMAP[scope];

/** The digit of a key on the number row or the keypad. */
export const digitOf = (code: string): string | undefined => /^(?:Digit|Numpad)(\d)$/.exec(code)?.[1];

export type Pressed = { code: string; key?: string; shiftKey: boolean; ctrlKey: boolean; metaKey: boolean; altKey: boolean };

/** The chord of one key press; `undefined` for what the browser or the system keeps. */
export function chordOf({ code, key: printed, shiftKey, ctrlKey, metaKey, altKey }: Pressed): string | undefined {
  // The one key that is looked for by what is printed on it, wherever a keyboard has it.
  if (printed === "?" && !ctrlKey && !metaKey) return "Shift+Slash";
  if (metaKey || altKey || /^(?:Shift|Control|Alt|Meta)/.test(code)) return undefined;
  const key = digitOf(code) === undefined ? code : "Digit";
  return `${ctrlKey ? "Control+" : ""}${shiftKey ? "Shift+" : ""}${key}`;
}

export type Meaning =
  | { is: "act"; scope: Scope; act: string }
  | { is: "prefix"; chord: string }
  | { is: "lost" }
  | { is: "none" };

/** A first key waits this long for its second. */
export const PREFIX_MS = 1500;

/** What key presses mean, two-key sequences included. */
export class Chords {
  #prefix: { chord: string; atMs: number } | undefined;

  /** Meanings in `scopes`, the innermost first. `lost`: the second key of a sequence that does not exist; nothing may use it. */
  meanings(chord: string, scopes: readonly Scope[], nowMs: number): Meaning[] {
    const prefix = this.#prefix && nowMs - this.#prefix.atMs < PREFIX_MS ? this.#prefix.chord : undefined;
    this.#prefix = undefined;
    const whole = prefix === undefined ? chord : `${prefix} ${chord}`;
    const found: Meaning[] = [];
    for (const scope of scopes) {
      // A sequence of a page hides what its first key means outside of it.
      const begins = bindingsOf(scope).some(({ keys }) => keys.some((key) => key.startsWith(`${chord} `)));
      if (begins && prefix === undefined && found.length === 0) {
        this.#prefix = { chord, atMs: nowMs };
        return [{ is: "prefix", chord }];
      }
      for (const { act, keys } of bindingsOf(scope)) if (keys.includes(whole)) found.push({ is: "act", scope, act });
    }
    if (found.length > 0) return found;
    return [{ is: prefix === undefined ? "none" : "lost" }];
  }
}

const CAPS: Record<string, string> = {
  Slash: "/",
  Comma: ",",
  Period: ".",
  Equal: "+",
  Minus: "−",
  BracketLeft: "[",
  BracketRight: "]",
  ArrowUp: "↑",
  ArrowDown: "↓",
  ArrowLeft: "←",
  ArrowRight: "→",
  Escape: "Esc",
  Digit: "0–9",
  Control: "Ctrl",
};

/** What is printed on the keys of a chord: `["G", "W"]`, `["Shift", "←"]`; a question mark is itself. */
export function caps(chord: string): string[] {
  if (chord === "Shift+Slash") return ["?"];
  return chord.split(/[ +]/).map((key) => CAPS[key] ?? key.replace(/^Key/, ""));
}

/** Bindings as the sheet shows them: one line a meaning, the keypad's doubles left out. */
export function sheetOf(scope: Scope): { says: Key; chords: string[] }[] {
  const lines = new Map<Key, string[]>();
  for (const { says, keys } of bindingsOf(scope)) {
    const shown = keys.filter((key) => !key.startsWith("Numpad") && key !== "Shift+Equal");
    lines.set(says, [...(lines.get(says) ?? []), ...shown]);
  }
  return [...lines].map(([says, chords]) => ({ says, chords }));
}
