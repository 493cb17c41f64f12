import { expect, test } from "vitest";
import { fill } from ".";
import { en } from "./en";
import { zh } from "./zh";

test("both languages fill the same places", () => {
  const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const key of Object.keys(zh) as (keyof typeof zh)[]) expect(places(en[key]), key).toEqual(places(zh[key]));
});

test("a value that is missing leaves its place visible", () => {
  expect(fill("{a} of {b}", { a: 0 })).toBe("0 of {b}");
});
