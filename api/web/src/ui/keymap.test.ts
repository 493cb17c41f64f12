import { expect, test } from "vitest";
import { bindingsOf, Chords, caps, chordOf, PREFIX_MS, SCOPES, sheetOf } from "./keymap";

const press = (code: string, held: Partial<Record<"shiftKey" | "ctrlKey" | "altKey" | "metaKey", boolean>> = {}) =>
  chordOf({ code, shiftKey: false, ctrlKey: false, altKey: false, metaKey: false, ...held });

test("no key has two meanings in one place", () => {
  for (const scope of SCOPES) {
    const keys = bindingsOf(scope).flatMap((binding) => [...binding.keys]);
    expect(new Set(keys).size, scope).toBe(keys.length);
  }
});

test("a key that begins a sequence means nothing by itself in its own place, and its sequence comes before what it means outside", () => {
  for (const scope of SCOPES) {
    const all = bindingsOf(scope).flatMap((binding) => [...binding.keys]);
    const prefixes = new Set(all.filter((key) => key.includes(" ")).map((key) => key.split(" ")[0]));
    expect(
      all.filter((key) => prefixes.has(key)),
      scope,
    ).toEqual([]);
  }
  const chords = new Chords();
  expect(chords.meanings("KeyF", ["incidents", "anywhere"], 0)).toEqual([{ is: "prefix", chord: "KeyF" }]);
  expect(chords.meanings("Digit", ["incidents", "anywhere"], 9)).toEqual([{ is: "act", scope: "incidents", act: "dismiss" }]);
  expect(chords.meanings("KeyF", ["anywhere"], 20)).toEqual([{ is: "act", scope: "anywhere", act: "fullscreen" }]);
});

test("G and then W lead to the wall, in time", () => {
  const chords = new Chords();
  expect(chords.meanings("KeyG", ["wall", "anywhere"], 0)).toEqual([{ is: "prefix", chord: "KeyG" }]);
  expect(chords.meanings("KeyW", ["wall", "anywhere"], 900)).toEqual([{ is: "act", scope: "anywhere", act: "wall" }]);
  chords.meanings("KeyG", ["anywhere"], 2000);
  expect(chords.meanings("KeyW", ["anywhere"], 2000 + PREFIX_MS)).toEqual([{ is: "none" }]);
});

test("the second key of a sequence that does not exist does nothing else", () => {
  const chords = new Chords();
  chords.meanings("KeyG", ["playback", "anywhere"], 0);
  // Alone, E would open the export.
  expect(
    chords
      .meanings("KeyE", ["playback", "anywhere"], 100)
      .some((meaning) => meaning.is === "act" && meaning.scope === "playback"),
  ).toBe(false);
});

test("a page's own meaning comes before the one that holds anywhere", () => {
  const meanings = new Chords().meanings("Escape", ["wall", "anywhere"], 0);
  expect(meanings.map((meaning) => meaning.is === "act" && meaning.act)).toEqual(["clear", "up"]);
});

test("the number row and the keypad both type digits, and what the system keeps is left alone", () => {
  expect([press("Digit7"), press("Numpad0"), press("KeyA")]).toEqual(["Digit", "Digit", "KeyA"]);
  expect(press("KeyR", { altKey: true })).toBeUndefined();
  expect(press("ShiftLeft", { shiftKey: true })).toBeUndefined();
  expect(press("KeyR", { ctrlKey: true })).toBe("Control+KeyR");
});

test("the sheet prints what stands on the keys, one line a meaning", () => {
  expect(caps("Shift+Slash")).toEqual(["?"]);
  expect(caps("KeyG KeyW")).toEqual(["G", "W"]);
  expect(caps("Shift+ArrowLeft")).toEqual(["Shift", "←"]);
  const select = sheetOf("wall").find((line) => line.says === "keys_select");
  expect(select?.chords).toEqual(["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]);
});
