import { afterEach, expect, test, vi } from "vitest";
import { api, fetched, learnClock, nodeNowUs, Refused } from "./api";

afterEach(() => vi.unstubAllGlobals());

const answer = (status: number, body: unknown) => {
  const fetch = vi.fn(
    async (_url: string, _init: RequestInit) => new Response(body === undefined ? null : JSON.stringify(body), { status }),
  );
  vi.stubGlobal("fetch", fetch);
  return fetch;
};

test("a change carries the header that other sites cannot send", async () => {
  const fetch = answer(200, { id: "e1", files: [] });
  await api.export({ cameras: [1], stream: "main", from_us: 1, to_us: 2, reason: "r", case: "c" });
  const [url, init] = fetch.mock.calls[0] ?? [];
  expect(url).toBe("/api/v1/exports");
  expect(init).toMatchObject({ method: "POST", headers: { "x-haohe": "1", "content-type": "application/json" } });
});

test("a refusal becomes a notice with the node's own sentences", async () => {
  answer(429, { code: "locked", state: { zh: "已锁定", en: "locked" }, remedy: { zh: "稍后", en: "later" }, retry_after_s: 30 });
  const done = await api.signIn("wang", "x", { category: "duty", text: "早班" });
  expect(done).toMatchObject({
    state: "failed",
    notice: { status: 429, code: "locked", retryAfterS: 30, state: { zh: "已锁定" } },
  });
});

test("a node that cannot be reached is a notice, not an exception", async () => {
  vi.stubGlobal("fetch", async () => {
    throw new TypeError("network");
  });
  expect(await api.changePassword("a", "b")).toMatchObject({ state: "failed", notice: { code: "unreachable", status: 0 } });
});

test("an answer without a body the page knows still says something", async () => {
  answer(502, undefined);
  await expect(api.cameras()).rejects.toMatchObject({ notice: { code: "http_502", status: 502 } });
});

test("old data outlives a failed refresh; without any, the notice shows", () => {
  const refused = new Refused({ status: 500, code: "x", state: { zh: "", en: "" }, remedy: { zh: "", en: "" } });
  expect(fetched({ data: 7, error: refused, dataUpdatedAt: 5 })).toEqual({ state: "ready", value: 7, asOf: 5000 });
  expect(fetched({ data: undefined, error: refused, dataUpdatedAt: 0 })).toMatchObject({
    state: "failed",
    notice: { code: "x" },
  });
  expect(fetched({ data: undefined, error: null, dataUpdatedAt: 0 })).toEqual({ state: "loading" });
});

test("the node's clock is learned from the middle of the round trip", () => {
  const sent = performance.now();
  const node = (performance.timeOrigin + sent + 1) * 1000 + 90e6;
  learnClock(node, sent, sent + 2);
  expect(nodeNowUs() - (performance.timeOrigin + performance.now()) * 1000).toBeCloseTo(90e6, -3);
});
