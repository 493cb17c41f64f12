// Incidents in a real browser against a real room: opened by hand, worked on by keys, closed; and the note that one shift signs for the
// next. In order, as on a shift.
import assert from "node:assert/strict";
import { test } from "node:test";
import { shootInThemes } from "./browser.mjs";
import { until } from "./room.mjs";
import { onShift } from "./shift.mjs";

let room;
let page;
let api;
let complaints;
onShift({ cameras: 2 }, (begun) => {
  ({ room, page, api, complaints } = begun);
});
const stage = (word) => page.locator(`section p[data-stage=${word}]`);
const open = async (text, camera) => {
  await page.keyboard.press("Shift+KeyN");
  const form = page.locator("[role=dialog]");
  await form.waitFor();
  if (camera) await form.locator("input[name=camera]").fill(camera);
  await form.locator("input[name=text]").fill(text);
  await form.locator("button[type=submit]").click();
  await form.waitFor({ state: "detached" });
};

test("where nothing waits, the page says so with figures", async () => {
  await until("something is recorded", 60, async () => (await api("/cameras")).cameras.every((camera) => camera.streams.some((stream) => stream.recorded_to_us)));
  await page.goto(`${room.url}/incidents`);
  await page.waitForSelector("[data-queue=room]");
  await until("the figures", 45, async () => /近 24 小时关闭 0/.test(await page.locator("main").innerText()));
});

test("an incident is opened by hand and stands in the queue with its clock", async () => {
  await open("有人翻越围墙", "1");
  await stage("new").waitFor();
  await open("楼道灯不亮");
  await until("both are in the queue", 45, async () => (await page.locator("[data-incident]").count()) === 2);
  const incidents = (await api("/incidents?queue=room")).incidents;
  assert.deepEqual(incidents.map((incident) => incident.camera).sort(), [1, null]);
  await shootInThemes(page, "incidents");
});

test("one key acknowledges, and each next step is a key or two", async () => {
  await page.locator("tr[data-incident]", { hasText: "有人翻越围墙" }).click();
  await stage("new").waitFor();
  for (const [keys, word] of [[["KeyA"], "acknowledged"], [["KeyV"], "verified"], [["KeyD", "Digit1"], "dispatched"], [["KeyR"], "arrived"], [["KeyT"], "resolved"]]) {
    for (const key of keys) await page.keyboard.press(key);
    await stage(word).waitFor();
  }
  await page.keyboard.press("KeyP");
  await until("the footage is attached", 45, async () => (await page.locator("section a[href*='/playback?c=1']").count()) > 1);
  await page.keyboard.press("KeyN");
  await page.keyboard.type("西侧路灯坏了");
  await page.keyboard.press("Enter");
  await until("the note is written", 45, async () => /西侧路灯坏了/.test(await page.locator("section ol").innerText()));
  await shootInThemes(page, "incident");
});

test("a digit after C closes it and after F calls it false; both are then among the closed", async () => {
  await page.locator("tr[data-incident]", { hasText: "有人翻越围墙" }).click();
  await page.keyboard.press("KeyC");
  await page.keyboard.press("Digit1");
  await stage("closed").waitFor();
  await page.locator("tr[data-incident]", { hasText: "楼道灯不亮" }).click();
  await stage("new").waitFor();
  await page.keyboard.press("KeyF");
  await page.keyboard.press("Digit5");
  await stage("false").waitFor();
  await page.click("[data-queue=closed]");
  await until("both are closed", 45, async () => (await page.locator("[data-incident]").count()) === 2);
});

test("somebody who comes second is told who was first, and does nothing", async () => {
  await page.click("[data-queue=room]");
  await open("东门拥堵", "2");
  await stage("new").waitFor();
  // The page shows what it last heard: whatever it asks for now does not arrive.
  const [incident] = (await api("/incidents?queue=room")).incidents;
  const held = (route) => (route.request().method() === "GET" ? undefined : route.continue());
  await page.route("**/api/v1/incidents**", held);
  await page.evaluate(async ({ id, version }) => {
    const headers = { "x-haohe": "1", "content-type": "application/json" };
    const path = `/api/v1/incidents/${id}/moves`;
    await fetch(path, { method: "POST", headers, body: JSON.stringify({ version, do: "verify" }) });
  }, incident);
  await page.keyboard.press("KeyA");
  await page.locator("[role=alert]").waitFor();
  assert.match(await page.locator("[role=alert]").innerText(), /wang 已先操作（核实）/);
  await page.unroute("**/api/v1/incidents**", held);
});

test("the shift note names what is open and who has yet to sign", async () => {
  await page.goto(`${room.url}/incidents/shift`);
  await page.locator("select[name=to]").waitFor();
  assert.match(await page.locator("article").innerText(), /东门拥堵/);
  await page.selectOption("select[name=to]", "zhao");
  await page.locator("input[name=remarks]").fill("东门车多");
  await page.click("article form button[type=submit]");
  await page.locator("[data-hand-over]").waitFor();
  assert.match(await page.locator("[data-hand-over]").innerText(), /等待 zhao 签收.*东门车多/);
  await shootInThemes(page, "shift");
});

test("nothing complained in the browser's console but what was meant to", () => {
  // The footage of just now is asked for before it is stored; and the refused move is a refusal.
  const meant = (text) => text.includes("/footage/") || (text.includes("/moves") && text.includes("409"));
  assert.deepEqual(complaints.filter((text) => !meant(text)), []);
});
