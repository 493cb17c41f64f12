// "When did something move here?" in a real browser against a real room whose streets are never empty for long.
import assert from "node:assert/strict";
import { test } from "node:test";
import { shoot } from "./browser.mjs";
import { until } from "./room.mjs";
import { onShift } from "./shift.mjs";

let room;
let page;
let api;
let complaints;
onShift({ cameras: 2 }, (begun) => {
  ({ room, page, api, complaints } = begun);
});

/** Movement anywhere in camera 1's picture during the last minutes. */
async function moved() {
  const now = Date.now() * 1000;
  const answer = await api(`/motion?cameras=1&from_us=${now - 600e6}&to_us=${now}&join_s=0`);
  return answer.spans?.length > 0 && answer;
}

/** A second of camera 1's footage that has some before it and some behind. */
async function recorded() {
  const now = Date.now() * 1000;
  const answer = await api(`/coverage?cameras=1&stream=sub&from_us=${now - 600e6}&to_us=${now}&px=4000`);
  const span = answer.rows[0].intervals.findLast(([from, to, code]) => code === 0 && to - from > 20e6);
  return span && Math.floor(span[1] / 1e6) - 10;
}

test("what moves before a camera is found within seconds, with how much of the time was looked at", async () => {
  const answer = await until("something moved", 120, moved);
  const { share } = answer.coverage.cameras[0];
  assert.ok(share > 0 && share < 1, `${share} of ten minutes was looked at`);
  const health = await api("/health");
  assert.ok(health.pictures.watched >= 1, JSON.stringify(health.pictures));
});

test("a region drawn on the picture answers with times that seek, and the timeline shows how much moved", async () => {
  const seconds = await until("twenty seconds of footage", 60, recorded);
  await page.goto(`${room.url}/playback?c=1&t=${seconds}&z=120&q=sub`);
  await until("a picture is shown", 60, async () => (await page.locator('li[data-camera="1"]').getAttribute("data-shows")) !== "nothing");
  await page.keyboard.press("KeyR");
  const drawing = page.locator("[role=application]");
  const box = await drawing.boundingBox();
  await page.mouse.move(box.x + 4, box.y + box.height * 0.3);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 4, box.y + box.height - 4, { steps: 5 });
  await page.mouse.up();
  assert.match(page.url(), /[?&]r=/);
  await page.click("text=查找移动");
  const first = page.locator("section[aria-label='区域搜索'] ul li button").first();
  await first.waitFor();
  assert.match(await page.locator("section[aria-label='区域搜索']").innerText(), /% 的时间有画面分析/);
  await until("the timeline shows motion", 60, async () => (await page.locator("text=画面移动").count()) > 0);
  await shoot(page, "region-search");
  const before = new URL(page.url()).searchParams.get("t");
  await first.click();
  await until("the address follows", 20, () => new URL(page.url()).searchParams.get("t") !== before);
  await page.reload();
  await drawing.waitFor();
  assert.ok((await drawing.locator("rect").count()) > 100, "a link opens the search with its region");
});

test("keys choose cells as a pointer does", async () => {
  await page.click("section[aria-label='区域搜索'] >> text=清除");
  const drawing = page.locator("[role=application]");
  await drawing.focus();
  for (const key of ["Space", "ArrowRight", "Space", "ArrowDown", "Space"]) await page.keyboard.press(key);
  await until("three cells", 10, async () => /3 格/.test(await drawing.getAttribute("aria-label")));
  await until("the address names them", 10, () => /r=304-305,337/.test(decodeURIComponent(page.url())));
});

test("what happened before the camera is marked on the timeline, and leads to the events themselves", async () => {
  const wanted = "/events?kinds=line.crossed&cameras=1";
  const event = await until("a crossed line", 120, async () => (await api(wanted)).events?.at(0));
  await page.goto(`${room.url}/playback?c=1&t=${Math.floor(event.time_us / 1e6)}&z=120&q=sub`);
  const marked = page.locator("[data-marked]");
  await marked.waitFor({ timeout: 60_000 });
  // The pointer over the mark says what it was: the event stands in the middle of the view, give or take what the second cut off.
  const box = await page.locator("[role=slider] canvas").boundingBox();
  const named = async () => {
    for (let away = -12; away <= 12; away += 3) {
      await page.mouse.move(box.x + box.width / 2 + away, box.y + 24 + 12);
      if (/[▲●] \d\d:\d\d:\d\d 越线/.test(await page.locator("[role=slider]").innerText())) return true;
    }
    return false;
  };
  await until("the pointer names it", 60, named);
  await shoot(page, "timeline-events");
  await marked.click();
  await until("the events are listed", 60, async () => (await page.locator("text=越线").count()) > 0);
  assert.match(page.url(), /\/events\?.*c=1/);
});

test("nothing complained in the browser's console", () => {
  assert.deepEqual(complaints, []);
});
