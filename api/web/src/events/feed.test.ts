import { expect, test } from "vitest";
import { parseFeed } from "./feed";

test("a feed's greeting, events, alarms and numbers are told apart, and anything else is nothing", () => {
  expect(parseFeed('{"hello":{"tail":41}}')).toEqual({ hello: { tail: 41 } });
  expect(parseFeed('{"seq":42,"event":{"id":"a"}}')).toEqual({ seq: 42, event: { id: "a" } });
  expect(parseFeed('{"seen":43}')).toEqual({ seen: 43 });
  expect(parseFeed('{"alarms":[],"all":true}')).toEqual({ alarms: [], all: true });
  for (const text of ["", "null", "{}", '{"seq":"42","event":{}}', "{", '{"alarms":1}']) expect(parseFeed(text)).toBeUndefined();
});
