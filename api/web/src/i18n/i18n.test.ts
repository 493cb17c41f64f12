import { expect, test } from "vitest";
import { en, fill, zh } from ".";

test("both languages fill the same places", () => {
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const key of Object.keys(zh) as (keyof typeof zh)[]) expect(places(en[key]), key).toEqual(places(zh[key]));
});

test("a value that is missing leaves its place visible", () => {
  expect(fill("{a} of {b}", { a: 0 })).toBe("0 of {b}");
});

test("every word is used: the page carries no dead text", () => {
  const sources = import.meta.glob(["../**/*.ts", "../**/*.tsx", "!../i18n/**"], {
    query: "?raw",
    import: "default",
    eager: true,
  });
  const code = Object.values(sources).join("\n");
  // Families that are looked up by a word of the node, such as `purpose_${category}`.
  const families = [
    "tier_",
    "purpose_",
    "severity_",
    "action_",
    "driver_",
    "retention_",
    "priority_",
    "role_",
    "grade_",
    "hold_",
    "erasure_",
    "order_",
    "range_",
    "severity_from_",
    "corrected_",
    "feed_",
    "region_when_",
    "class_",
    "queue_",
    "act_",
    "stage_",
    "step_",
    "level_",
    "measure_",
    "done_",
    "effect_",
    "code_",
    "reason_",
    "p_",
  ].filter((family) => code.includes(`\`${family}\${`));
  const unused = Object.keys(zh).filter(
    (key) => !code.includes(`"${key}"`) && !families.some((family) => key.startsWith(family)),
  );
  expect(unused).toEqual([]);
});
