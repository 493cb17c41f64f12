// Every page and state, in both languages and both themes, checked against WCAG 2.2 AA by axe-core: no violation is accepted.
// Prints `pages_checked` and `violations`. What axe cannot judge (keys, focus, a frozen picture) is in page.test.mjs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openBrowser, signIn } from "./browser.mjs";
import { ROOT, startRoom, until } from "./room.mjs";

const AXE = readFileSync(createRequire(join(ROOT, "api/web/package.json")).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const LOOKS = ["zh", "en"].flatMap((language) => ["dark", "light"].map((theme) => ({ language, theme })));

let room;
let browser;
let auditor;
let checked = 0;
const found = [];

before(async () => {
  room = await startRoom({ cameras: 6 });
  browser = await openBrowser();
});

after(async () => {
  await auditor?.close();
  await browser?.close();
  await room?.stop();
});

/** Language and theme are what a workstation remembers; the page reads them when it opens. */
async function open(page, { language, theme }, path) {
  await page.evaluate(
    (settings) => localStorage.setItem("haohe-settings", JSON.stringify({ state: settings, version: 0 })),
    { language, theme, singleKeys: true },
  );
  await page.goto(`${room.url}${path}`);
}

/** Puts axe into the page (by the debugger, which the content security policy does not concern) and keeps what it finds. */
async function judge(page, name, look) {
  await page.evaluate(AXE);
  const violations = await page.evaluate(async (tags) => {
    // The watermark is decoration that must not cover the picture (WCAG 1.4.3, incidental): nobody has to read it.
    const subject = { exclude: [["[data-watermark]"]] };
    const { violations } = await window.axe.run(subject, { runOnly: { type: "tag", values: tags }, resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => ({ id, where: nodes.map(({ target, any }) => [target.join(" "), any[0]?.message]).slice(0, 4) }));
  }, TAGS);
  checked += 1;
  for (const violation of violations) found.push({ state: name, ...look, ...violation });
}

const dialog = (page) => page.locator("[role=dialog]").waitFor();
const shown = (page) => page.waitForSelector("main");

/** A state is an address and what is done there until it shows. */
const STATES = [
  ["wall", "/wall", (page) => page.waitForSelector("[data-state=key]")],
  ["wall of sixteen with empty tiles", "/wall?l=16&p=1", (page) => page.waitForSelector("[data-state=empty]")],
  ["wall with an unknown number", "/wall", async (page) => {
    await page.waitForSelector("[data-camera]");
    await page.keyboard.press("9");
    await page.keyboard.press("9");
    await page.keyboard.press("Enter");
  }],
  ["keys", "/wall", async (page) => {
    await page.waitForSelector("[data-camera]");
    await page.keyboard.press("?");
    await dialog(page);
  }],
  ["playback without a camera", "/playback", (page) => page.waitForSelector("input[name=camera]")],
  ["playback", "/playback?c=1,2&z=600", (page) => page.waitForSelector("[role=slider]")],
  ["playback where nothing is recorded", "/playback?c=1&t=1500000000", (page) => page.waitForSelector("li[data-shows=nothing]")],
  ["export", "/playback?c=1&i=1795399200&o=1795399210", async (page) => {
    await page.waitForSelector("[role=slider]");
    await page.keyboard.press("e");
    await dialog(page);
  }],
  ["events", "/events", shown],
  ["events with the player", "/events", async (page) => {
    await page.waitForSelector("[data-view=grid] [data-event]");
    await page.keyboard.press("Enter");
    await page.waitForSelector("section:has(header) button");
  }],
  ["events as a table", "/events?w=table", (page) => page.waitForSelector("[data-view=table] [data-event]")],
  ["events narrowed to nothing", "/events?q=zzzz&v=alarm&c=1&h=22-6", shown],
  ["incidents", "/incidents", async (page) => {
    await page.waitForSelector("[data-queue=room]");
    await page.evaluate(async () => {
      const headers = { "x-haohe": "1", "content-type": "application/json" };
      const open = (body) => fetch("/api/v1/incidents", { method: "POST", headers, body: JSON.stringify(body) });
      const known = await (await fetch("/api/v1/incidents?queue=room")).json();
      if (known.incidents.length === 0) for (const priority of ["p1", "p2", "p3"]) await open({ priority, camera: "1", text: "翻越围墙" });
    });
    await page.waitForSelector("[data-incident]");
    await page.keyboard.press("j");
    await page.click("[data-act=close], [data-act=dispatch]");
    await page.waitForSelector("section [role=group] button");
  }],
  ["no incident", "/incidents?q=shelved", (page) => page.waitForSelector("[data-queue=room]")],
  ["a new incident", "/incidents?n=1", dialog],
  ["shift note", "/incidents/shift", (page) => page.waitForSelector("select[name=to]")],
  ["health", "/health", (page) => page.waitForSelector("tr[data-camera]")],
  ["ledger", "/health/ledger", shown],
  ["reports", "/reports", (page) => page.waitForSelector("[data-node]")],
  ["reports of months by district", "/reports?s=month&l=district&m=online", (page) => page.waitForSelector("tfoot")],
  ["retention", "/health/retention", shown],
  ["holds", "/health/holds?c=1", shown],
  ["erasures", "/health/erasures?c=1", shown],
  ["cameras", "/admin", (page) => page.waitForSelector("tr[data-camera]")],
  ["camera form", "/admin", async (page) => {
    await page.click("button[data-act=add]");
    await dialog(page);
    await page.click("[role=dialog] button[type=submit]");
  }],
  ["web hooks", "/admin?s=hooks", shown],
  ["people", "/admin?s=people", (page) => page.waitForSelector("tbody tr")],
  ["person form", "/admin?s=people", async (page) => {
    await page.click("button[data-act=add]");
    await dialog(page);
  }],
  ["no such page", "/nowhere", shown],
];

test("sign-in, its refusal and the change of a one-time password have no violation", async () => {
  const { page } = browser;
  await page.goto(room.url);
  await page.waitForSelector("input[name=password]");
  for (const look of LOOKS) {
    await open(page, look, "/");
    await page.waitForSelector("input[name=password]");
    await judge(page, "sign-in", look);
  }
  await page.fill("input[name=name]", "wang");
  await page.fill("input[name=password]", "not the password");
  await page.click("button[type=submit]");
  await page.waitForSelector("[role=alert]");
  await judge(page, "sign-in refused", LOOKS.at(-1));
  await signIn(page, room.url, "wang", room.passwords.wang);
  assert.deepEqual(found.splice(0), []);
});

for (const look of LOOKS) {
  test(`every page has no violation in ${look.language}, ${look.theme}`, async () => {
    for (const [name, path, act] of STATES) {
      await open(browser.page, look, path);
      await act(browser.page);
      await judge(browser.page, name, look);
    }
    assert.deepEqual(found.splice(0), []);
  });
}

test("the register has no violation", async () => {
  auditor = await openBrowser();
  await signIn(auditor.page, room.url, "shen", room.passwords.shen);
  for (const look of LOOKS) {
    await open(auditor.page, look, "/records");
    await auditor.page.waitForSelector("tbody tr");
    await judge(auditor.page, "register", look);
  }
  assert.deepEqual(found.splice(0), []);
});

test("loading, refused and lost pages have no violation", async () => {
  const { page } = browser;
  const pages = ["/wall", "/playback?c=1", "/events", "/incidents", "/incidents/shift", "/health", "/health/ledger", "/health/retention", "/health/holds", "/reports", "/admin"];
  const refusal = { code: "busy", state: { zh: "服务器忙", en: "The server is busy" }, remedy: { zh: "请稍后再试", en: "Try again" } };
  const waiting = (route) => (new URL(route.request().url()).pathname === "/api/v1/me" ? route.continue() : undefined);
  const refusing = (route) =>
    new URL(route.request().url()).pathname === "/api/v1/me" ? route.continue() : route.fulfill({ status: 503, json: refusal });
  for (const [name, answer] of [["loading", waiting], ["refused", refusing]]) {
    await page.route("**/api/v1/**", answer);
    for (const [index, path] of pages.entries()) {
      const look = LOOKS[index % LOOKS.length];
      await open(page, look, path);
      await shown(page);
      await until("the state", 45, async () => (await page.locator("main").innerText()).trim() !== "");
      await judge(page, `${name} ${path}`, look);
    }
    await page.unroute("**/api/v1/**", answer);
  }
  await open(page, LOOKS[0], "/wall");
  await page.waitForSelector("[data-state=key]");
  room.room.kill("SIGSTOP");
  try {
    await page.waitForSelector("header[data-lost=true]", { timeout: 60_000 });
    await judge(page, "server lost", LOOKS[0]);
  } finally {
    room.room.kill("SIGCONT");
  }
  assert.deepEqual(found.splice(0), []);
  console.log(`pages_checked ${checked} pages\nviolations 0 violations`);
});
