import { expect, test } from "vitest";
import { parseFeed } from "./feed";

test("a feed's greeting and its events are told apart, and anything else is nothing", () => {
  expect(parseFeed('{"hello":{"tail":41}}')).toEqual({ hello: { tail: 41 } });
  expect(parseFeed('{"seq":42,"event":{"id":"a"}}')).toEqual({ seq: 42, event: { id: "a" } });
  for (const text of ["", "null", "{}", '{"seq":"42","event":{}}', "{"]) expect(parseFeed(text)).toBeUndefined();
});
