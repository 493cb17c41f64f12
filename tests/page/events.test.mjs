// Event search in a real browser against a real room: results as pictures, asked for only where somebody looks, a few at once and each
// in the register; a player at the side; and all of it in the address.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openBrowser, shoot, shootInThemes, signIn } from "./browser.mjs";
import { until } from "./room.mjs";
import { onShift } from "./shift.mjs";

const MARKS = 60;
/** What the page may ask for at once. */
const AT_ONCE = 3;

let room;
let page;
let api;
let complaints;
/** Stills as they are asked for: how many ever, now, at most at once, and again after they had come. */
const stills = { asked: 0, now: 0, most: 0, again: 0, came: new Set() };

onShift({ cameras: 2 }, (begun) => {
  ({ room, page, api, complaints } = begun);
  const isStill = (request) => request.url().includes("/api/v1/stills/");
  page.on("request", (request) => {
    if (!isStill(request)) return;
    stills.asked += 1;
    stills.again += Number(stills.came.has(request.url()));
    stills.now += 1;
    stills.most = Math.max(stills.most, stills.now);
  });
  page.on("requestfinished", (request) => stills.came.add(request.url()));
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => isStill(request) && stills.now--);
});

const mark = (camera, time_us, text) =>
  page.evaluate(
    async (body) =>
      (await fetch("/api/v1/bookmarks", { method: "POST", headers: { "content-type": "application/json", "x-haohe": "1" }, body: JSON.stringify(body) })).status,
    { camera, time_us, text },
  );
const cards = () => page.locator("[data-view=grid] button[data-event]");

/** A second of a camera's sub-stream with twenty seconds of footage before it. */
async function recorded() {
  const now = Date.now() * 1000;
  const answer = await api(`/coverage?cameras=1&stream=sub&from_us=${now - 600e6}&to_us=${now}&px=4000`);
  const span = answer.rows[0].intervals.findLast(([from, to, code]) => code === 0 && to - from > 25e6);
  return span && Math.floor(span[1]);
}

test("each result shows the still of its camera at that time, only where somebody looks, and a few at once", async () => {
  const end = await until("footage", 90, recorded);
  for (let n = 0; n < MARKS; n++) assert.equal(await mark(1, end - 2_000_000 - n * 200_000, `记号${n}`), 201);
  await until("all are found", 30, async () => (await api("/events?kinds=bookmark")).total.count === MARKS);
  await page.goto(`${room.url}/events?k=bookmark`);
  await cards().first().waitFor();
  const shown = page.locator("[data-still=shown] img");
  await until("pictures", 60, async () => (await shown.count()) >= 4 && stills.now === 0);
  assert.ok(await shown.first().evaluate((image) => image.complete && image.naturalWidth > 16), "it is a picture");
  const before = stills.asked;
  assert.ok(before < (await cards().count()), `${before} of ${await cards().count()} were asked for, and most are below the screen`);
  await cards().nth(40).scrollIntoViewIfNeeded();
  await until("those that came into sight", 60, async () => stills.asked > before && stills.now === 0);
  assert.ok(stills.most <= AT_ONCE, `${stills.most} at once`);
  await cards().first().scrollIntoViewIfNeeded();
  await page.locator("[data-index='0'] [data-still=shown]").waitFor();
  assert.equal(stills.again, 0, "what was shown is not asked for again");
});

test("the pointer over a still shows what happened around the event, picture by picture", async () => {
  const still = page.locator("[data-index='0'] [data-still=shown]");
  const box = await still.boundingBox();
  const strip = still.locator("canvas[data-strip]");
  for (const picture of [1, 4]) {
    await page.mouse.move(box.x + (box.width * (picture + 0.5)) / 8, box.y + box.height / 2);
    await until(`picture ${picture}`, 20, async () => (await strip.getAttribute("data-strip")) === String(picture));
  }
  await shoot(page, "events-strip");
  await page.mouse.move(box.x, box.y - 60);
  await strip.waitFor({ state: "detached" });
});

test("events that are chosen are exported together", async () => {
  await cards().first().focus();
  for (const key of ["KeyX", "KeyJ", "KeyX"]) await page.keyboard.press(key);
  assert.equal(await page.locator("[data-chosen=true]").count(), 2);
  assert.match(await page.locator("[role=status]").first().innerText(), /已选 2 条/);
  await page.keyboard.press("KeyE");
  const dialog = page.locator("[role=dialog]");
  await dialog.waitFor();
  assert.match(await dialog.innerText(), /· 20 s/, "two marks a fifth of a second apart, five seconds before to fifteen after");
  await shoot(page, "events-export");
  await page.keyboard.press("Escape");
  await page.keyboard.press("KeyX");
  assert.equal(await page.locator("[data-chosen=true]").count(), 1);
});

test("every still stands in the register with who looked and why", async () => {
  const auditor = await openBrowser();
  try {
    await signIn(auditor.page, room.url, "shen", room.passwords.shen);
    const records = await auditor.page.evaluate(async () => (await fetch("/api/v1/access-records?action=still&limit=200")).json());
    assert.equal(records.records.length, stills.asked);
    assert.ok(records.records.every((record) => JSON.stringify(record).includes("wang")));
  } finally {
    await auditor.close();
  }
});

test("where nothing is recorded the place of the picture says so", async () => {
  assert.equal(await mark(2, Date.now() * 1000 - 86_400e6, "昨天"), 201);
  await until("it is found", 30, async () => (await api("/events?kinds=bookmark&cameras=2")).total.count === 1);
  await page.goto(`${room.url}/events?k=bookmark&c=2&r=7d`);
  const place = page.locator("[data-still=none]");
  await place.waitFor();
  assert.match(await place.innerText(), /该时段没有录像/);
});

test("enter plays the chosen event at the side from five seconds before, and a link opens the same", async () => {
  await page.goto(`${room.url}/events?k=bookmark&c=1`);
  await cards().first().waitFor();
  for (const key of ["KeyJ", "KeyJ", "Enter"]) await page.keyboard.press(key);
  const side = page.locator("section[aria-label='事件回放'] video");
  await side.waitFor();
  const plays = () =>
    page.evaluate(() => {
      const video = document.querySelector("section[aria-label='事件回放'] video");
      return video !== null && video.currentTime > 0;
    });
  await until("it plays", 60, plays);
  const { events } = await api("/events?kinds=bookmark&cameras=1");
  assert.match(await side.getAttribute("src"), new RegExp(`from_us=${events[2].time_us - 5_000_000}&`));
  assert.equal(new URL(page.url()).searchParams.get("e"), events[2].id);
  await shootInThemes(page, "events-grid");
  await page.reload();
  await until("it plays again", 60, plays);
  await page.keyboard.press("Escape");
  await side.waitFor({ state: "detached" });
  assert.equal(new URL(page.url()).searchParams.get("e"), null);
});

test("a key changes between grid and table, and the address keeps it", async () => {
  await page.keyboard.press("KeyV");
  await page.locator("[data-view=table]").waitFor();
  assert.match(page.url(), /[?&]w=table/);
  const asked = stills.asked;
  await page.reload();
  await page.locator("[data-view=table] [data-event]").first().waitFor();
  assert.equal(stills.asked, asked, "a table asks for no picture");
  await shoot(page, "events-table");
  await page.keyboard.press("KeyV");
  await cards().first().waitFor();
});

test("the whole footage opens five seconds before the event", async () => {
  const { events } = await api("/events?kinds=bookmark&cameras=1");
  await cards().first().waitFor();
  await page.keyboard.press("Shift+Enter");
  await page.waitForURL(/\/playback\?c=1&t=/);
  assert.equal(Number(new URL(page.url()).searchParams.get("t")), events[0].time_us / 1e6 - 5);
});

test("nothing complained in the browser's console", () => {
  // A place without footage is answered with 404: that is what the page is told by.
  assert.deepEqual(complaints.filter((text) => !/\/(?:stills|footage)\//.test(text)), []);
});
