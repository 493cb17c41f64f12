// Messages that another system did not take, in a real browser against a real room: seen in health and administration, sent again and
// discarded by a person, and in the journal before it is done.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { openBrowser, shootInThemes, signIn } from "./browser.mjs";
import { startRoom, until } from "./room.mjs";

let room;
let browser;
let page;
/** The other system: refuses for good until it is mended; and what it got. */
const other = { status: 410, got: [] };
const receiver = createServer((request, response) => {
  let body = "";
  request.on("data", (bytes) => {
    body += bytes;
  });
  request.on("end", () => {
    other.got.push(JSON.parse(body).seq);
    response.writeHead(other.status).end();
  });
});

before(async () => {
  await new Promise((done) => receiver.listen(0, "127.0.0.1", done));
  room = await startRoom({ cameras: 2, hook: `http://127.0.0.1:${receiver.address().port}/alarms` });
  browser = await openBrowser();
  page = browser.page;
  await signIn(page, room.url, "wang", room.passwords.wang);
});

after(async () => {
  await browser?.close();
  await room?.stop();
  receiver.close();
});

const api = (path, body) =>
  page.evaluate(
    async ([to, sent]) => {
      const headers = { "content-type": "application/json", "x-haohe": "1" };
      const answer = await fetch(`/api/v1${to}`, sent === null ? {} : { method: "POST", headers, body: JSON.stringify(sent) });
      return answer.json();
    },
    [path, body ?? null],
  );
const rows = () => page.locator("tr[data-aside]");

test("what the other system refuses for good is listed with what, since when and why, and health says so", async () => {
  await api("/rules", { name: "记号", enabled: true, kinds: ["bookmark"], urgency: "medium", group_s: 0, hold_off_s: 0 });
  for (const camera of [1, 2]) await api("/bookmarks", { camera, time_us: Date.now() * 1000, text: "看这里" });
  await until("both are laid aside", 30, async () => (await api("/hooks")).hooks[0].aside.length === 2);
  await page.goto(`${room.url}/admin`);
  await page.click("text=外发通知");
  await rows().first().waitFor();
  assert.match(page.url(), /[?&]s=hooks/);
  assert.match(await rows().first().innerText(), /报警[\s\S]*记号[\s\S]*接收方答复状态 410/);
  const { problems } = await api("/health");
  assert.ok(problems.some(({ kind }) => kind === "hooks_aside"), JSON.stringify(problems));
  await shootInThemes(page, "hooks");
});

test("a message that is not taken again stays, with the reason", async () => {
  other.status = 503;
  await rows().first().locator("button", { hasText: "重发" }).click();
  await page.locator("[role=alert]", { hasText: "接收方仍未接收（答复状态 503），消息保留" }).waitFor();
  assert.equal(await rows().count(), 2);
});

test("once the other system is mended a person has it sent again, and discards the other", async () => {
  other.status = 204;
  const seq = Number(await rows().first().getAttribute("data-aside"));
  await rows().first().locator("button", { hasText: "重发" }).click();
  await page.locator(`tr[data-aside="${seq}"]`).waitFor({ state: "detached" });
  assert.equal(other.got.at(-1), seq);
  const told = other.got.length;
  await rows().first().locator("button", { hasText: "丢弃" }).click();
  await page.waitForSelector("text=没有未送达的消息");
  assert.equal(other.got.length, told, "what is discarded is not sent");
  assert.ok(!(await api("/health")).problems.some(({ kind }) => kind === "hooks_aside"));
});

test("nothing complained in the browser's console", () => {
  // The one that was not taken again is answered with 502: that is what the page is told by.
  assert.deepEqual(browser.complaints.filter((text) => !/\/hooks\/dispatch\/messages\//.test(text)), []);
});
