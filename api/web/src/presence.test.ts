import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api } from "./api";
import { watchFor } from "./presence";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const headersOf = async (): Promise<Record<string, string>> => {
  const fetch = vi.fn(async (_url: string, _init: RequestInit) => new Response("{}"));
  vi.stubGlobal("fetch", fetch);
  await api.cameras();
  return fetch.mock.calls[0]?.[1].headers as Record<string, string>;
};

test("a poll says that somebody is here only while the window is used", async () => {
  const window = new EventTarget();
  watchFor(window);
  window.dispatchEvent(new Event("keydown"));
  expect(await headersOf()).toMatchObject({ "x-haohe": "1" });
  vi.advanceTimersByTime(61_000);
  expect(await headersOf()).not.toHaveProperty("x-haohe");
  window.dispatchEvent(new Event("pointermove"));
  expect(await headersOf()).toMatchObject({ "x-haohe": "1" });
});
