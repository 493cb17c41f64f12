// Alarms in a real browser against a real room, whose cameras tell on their metadata tracks what crosses their lines: a rule is made
// with its rate in sight, the dock calls with the footage playing, and one key takes an alarm on. In order, as on a shift.
import assert from "node:assert/strict";
import { test } from "node:test";
import { listen, shoot } from "./browser.mjs";
import { until } from "./room.mjs";
import { onShift } from "./shift.mjs";

let room;
let page;
let api;
let complaints;
onShift({ cameras: 2 }, (begun) => {
  ({ room, page, api, complaints } = begun);
});
const dock = () => page.locator("aside[data-urgency]");

test("how often a rule would have called is shown before it is saved", async () => {
  await until("a crossed line is found", 60, async () => (await api("/events?kinds=line.crossed")).total?.count > 0);
  await page.goto(`${room.url}/admin?s=rules`);
  await page.click("[data-act=add]");
  const form = page.locator("[role=dialog]");
  await form.locator("input[name=name]").fill("越线");
  await form.locator("input[name='line.crossed']").check();
  await form.locator("input[name=holdOff]").fill("0");
  await form.locator("input[name=group]").fill("0");
  const meter = form.locator("[role=status]");
  await meter.waitFor();
  assert.match(await meter.innerText(), /符合的事件 [1-9]\d* 条/);
  await shoot(page, "rule");
  assert.equal((await api("/rules")).rules.length, 0, "nothing is saved yet");
  await form.locator("button[type=submit]").click();
  await form.waitFor({ state: "detached" });
  assert.equal((await api("/rules")).rules.length, 1);
});

test("a crossed line calls on whatever page is open, audibly, with the footage playing already", async () => {
  await listen(page);
  await page.goto(`${room.url}/health`);
  await dock().waitFor();
  assert.match(await dock().innerText(), /越线/);
  await until("the loop plays", 60, () =>
    page.evaluate(() => {
      const video = document.querySelector("aside video");
      return video !== null && video.currentTime > 0 && !video.paused;
    }),
  );
  await until("an alarm is heard", 60, () => page.evaluate(() => globalThis.loudest > 0.02));
  await shoot(page, "alarm");
});

test("one key takes the shown alarm on, and the register of history names who", async () => {
  const id = await dock().locator("[data-alarm]:has([aria-current=true])").getAttribute("data-alarm");
  await page.keyboard.press("KeyA");
  await page.locator(`[data-alarm="${id}"]`).waitFor({ state: "detached" });
  const alarm = (await api("/alarms")).alarms.find((one) => one.id === id);
  assert.equal(alarm.acknowledged.by, "wang");
});

test("a key leads from the alarm to its footage five seconds before", async () => {
  await dock().waitFor();
  await page.keyboard.press("KeyO");
  await page.waitForURL(/\/playback\?c=[12]&t=/);
});

test("nothing complained in the browser's console", () => {
  // A loop that asks for the sub-stream's last second before it is stored is answered with 404, and asks again.
  assert.deepEqual(complaints.filter((text) => !text.includes("/footage/")), []);
});
