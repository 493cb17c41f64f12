// Reports in a real browser against a real room: the day so far with its definitions, periods and ranks by choice and by key, what is taken
// out, and what is said when it cannot be had.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openBrowser, shootInThemes, signIn } from "./browser.mjs";
import { startRoom, until } from "./room.mjs";

let room;
let browser;
let page;

before(async () => {
  room = await startRoom({ cameras: 2 });
  browser = await openBrowser();
  page = browser.page;
  await signIn(page, room.url, "wang", room.passwords.wang);
});

after(async () => {
  await browser?.close();
  await room?.stop();
});

const get = (path) => page.evaluate(async (to) => (await fetch(`/api/v1${to}`)).text(), path);

test("the rail leads to the day so far, with the room's rank and what each figure means", async () => {
  const today = await page.evaluate(() => new Date().toLocaleDateString("sv-SE"));
  await until("something is expected", 60, async () => {
    const report = JSON.parse(await get(`/reports?from=${today}&to=${today}`));
    return report.periods[0].total.figures.recorded_us > 0;
  });
  await page.click("nav a[href='/reports']");
  const row = page.locator("tr[data-node]");
  await row.waitFor();
  assert.match(await row.innerText(), /东苑社区监控室[\s\S]*%[\s\S]*#1/);
  const text = await page.locator("main").innerText();
  for (const said of [/含今天，截至/, /完整率/, /已录时长 ÷ 应录时长/, /中位数与 95% 值取自全部事件/, /逐位相等/]) assert.match(text, said);
  await shootInThemes(page, "reports");
});

test("periods, levels and what is ranked by stand in the address, and keys change them", async () => {
  await page.click("button:has-text('周')");
  await page.waitForURL(/[?&]s=week/);
  await page.keyboard.press("t");
  await page.waitForURL(/[?&]s=month/);
  await page.keyboard.press("m");
  await page.waitForURL(/[?&]m=online/);
  const shown = () => page.locator("h2[data-period]").getAttribute("data-period");
  await page.waitForSelector("h2[data-period]");
  const now = await shown();
  await page.keyboard.press("[");
  await page.waitForURL(/[?&]p=\d{4}-\d{2}-01/);
  await until("the month before", 20, async () => (await shown()) < now);
  await page.reload();
  await page.waitForSelector("h2[data-period]");
  assert.ok((await shown()) < now, "a link reopens it");
});

test("a table and a page to print are taken out, in the page's language", async () => {
  await page.goto(`${room.url}/reports`);
  await page.waitForSelector("tr[data-node]");
  const links = await page.locator("a[href^='/api/v1/reports.']").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  assert.equal(links.length, 2);
  const [csv, html] = await Promise.all(links.map((link) => get(link.replace("/api/v1", ""))));
  assert.match(csv, /"录像完整率"[\s\S]*"东苑社区监控室"/);
  assert.match(html, /<html lang="zh-CN">[\s\S]*运行报表[\s\S]*指标定义/);
  const printed = await browser.context.newPage();
  await printed.goto(`${room.url}${links[1]}`);
  assert.ok((await printed.locator("table").count()) > 0);
  await printed.screenshot({ path: `${new URL("../../.cache/screenshots/", import.meta.url).pathname}reports-print.png` });
  await printed.close();
});

test("what cannot be had is said in words", async () => {
  const refusal = { code: "busy", state: { zh: "服务器忙", en: "The server is busy" }, remedy: { zh: "请稍后再试", en: "Try again" } };
  const busy = (route) => route.fulfill({ status: 503, json: refusal });
  await page.route("**/api/v1/reports?*", busy);
  await page.goto(`${room.url}/reports?s=week`);
  await page.locator("[role=alert]", { hasText: "服务器忙" }).waitFor();
  await page.unroute("**/api/v1/reports?*", busy);
});

test("nothing complained in the browser's console", () => {
  assert.deepEqual(browser.complaints.filter((text) => !/503/.test(text)), []);
});
