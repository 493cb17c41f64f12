// The `page` figures: first picture on a wall of sixteen, scrub latency for one and four cameras, memory after some minutes.
// Prints `name value unit` lines, then one line of JSON. Usage: node tests/page/measure.mjs [--minutes 5] [--shape full|tiny]
import { readdirSync, readFileSync } from "node:fs";
import { openBrowser, signIn } from "./browser.mjs";
import { startRoom, until } from "./room.mjs";

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const MINUTES = Number(option("minutes", "5"));
const SHAPE = option("shape", "full");
const OPENINGS = 5;

const figures = {};
function figure(name, value, unit) {
  figures[name] = value;
  console.log(`${name} ${value} ${unit}`);
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN);
}

/** Proportional memory of every process whose ancestor is this one and that is a Chromium, in MB. */
function browserMemoryMb() {
  let kilobytes = 0;
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (!command.includes("haohe-chromium-")) continue;
      kilobytes += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
    } catch {
      // A process that ended between the listing and the reading.
    }
  }
  return Math.round(kilobytes / 1000);
}

async function wall(page, url) {
  const tiles = [];
  for (let opening = 0; opening < OPENINGS; opening++) {
    await page.goto(`${url}/health`);
    await page.waitForSelector("table tbody tr[data-camera]");
    // By the rail, as an operator goes: the page is warm, the wall is not.
    await page.click("nav a[href^='/wall']");
    await until("sixteen first pictures", 60, () =>
      page.evaluate(() => performance.getEntriesByName("first-picture").filter(({ detail }) => detail.slot !== "spot").length >= 16),
    );
    const took = await page.evaluate(() =>
      performance.getEntriesByName("first-picture").filter(({ detail }) => detail.slot !== "spot").map(({ duration }) => duration),
    );
    tiles.push(...took);
  }
  figure("wall16_first_picture_ms_p50", quantile(tiles, 0.5), "ms");
  figure("wall16_first_picture_ms_p95", quantile(tiles, 0.95), "ms");
}

async function scrub(page, url, cameras) {
  const list = Array.from({ length: cameras }, (_, index) => index + 1).join(",");
  const middle = Date.now() / 1000 - 35;
  await page.goto(`${url}/playback?c=${list}&t=${middle}&z=60&q=sub`);
  await until("footage", 60, async () => (await page.locator("li[data-player=showing]").count()) === cameras);
  const canvas = await page.locator("[role=slider] canvas").boundingBox();
  await page.evaluate(() => performance.clearMeasures());
  const y = canvas.y + 40;
  await page.mouse.move(canvas.x + canvas.width * 0.3, y);
  await page.mouse.down();
  for (let step = 0; step < 200; step++) {
    const swing = 0.3 + 0.3 * Math.abs(Math.sin(step / 40));
    await page.mouse.move(canvas.x + canvas.width * swing, y);
    await new Promise((done) => setTimeout(done, 33));
  }
  await page.mouse.up();
  const took = await page.evaluate(() => performance.getEntriesByName("scrub").map(({ duration }) => duration));
  figure(`scrub${cameras}_ms_p50`, quantile(took, 0.5), "ms");
  figure(`scrub${cameras}_ms_p95`, quantile(took, 0.95), "ms");
}

async function memory(page, url) {
  await page.goto(`${url}/wall`);
  await new Promise((done) => setTimeout(done, 60_000));
  const early = browserMemoryMb();
  await new Promise((done) => setTimeout(done, Math.max(0, MINUTES - 1) * 60_000));
  figure("page_memory_after_1_min_mb", early, "MB");
  figure(`page_memory_after_${MINUTES}_min_mb`, browserMemoryMb(), "MB");
  figure("page_frames_held", Number(await page.getAttribute("html", "data-frames-held")), "frames");
}

const room = await startRoom({ cameras: 16, shape: SHAPE });
let browser;
try {
  browser = await openBrowser();
  await signIn(browser.page, room.url, "wang", room.passwords.wang);
  await wall(browser.page, room.url);
  const since = performance.now();
  await until("a minute of footage", 90, () => performance.now() - since > 60_000);
  await scrub(browser.page, room.url, 1);
  await scrub(browser.page, room.url, 4);
  if (MINUTES > 0) await memory(browser.page, room.url);
  console.log(JSON.stringify(figures));
} finally {
  await browser?.close();
  await room.stop();
}
