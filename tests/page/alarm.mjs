// The `alarm` figures: from the instant at which a camera sends a crossed line until the alarm stands on the page of an operator in
// Chromium. Every crossing of eight cameras is an alarm of its own. Prints `name value unit` lines, then one line of JSON.
// Usage: node tests/page/alarm.mjs [--alarms 100] [--shape full|tiny]
import { openBrowser, signIn } from "./browser.mjs";
import { startRoom, until } from "./room.mjs";

const option = (name, otherwise) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? otherwise : process.argv[at + 1];
};
const ALARMS = Number(option("alarms", "100"));
const SHAPE = option("shape", "full");

const figures = {};
function figure(name, value, unit) {
  const shown = Math.round(value * 1000) / 1000;
  figures[name] = shown;
  console.log(`${name} ${shown} ${unit}`);
}

const room = await startRoom({ cameras: 8, shape: SHAPE });
let browser;
try {
  browser = await openBrowser();
  const { page } = browser;
  await signIn(page, room.url, "wang", room.passwords.wang);
  // Each alarm as it is put on the page: its camera's time, and the time now, on the one clock of this machine.
  await page.evaluate(() => {
    window.shown = new Map();
    const look = () => {
      const now = (performance.timeOrigin + performance.now()) * 1000;
      for (const row of document.querySelectorAll("[data-alarm]")) {
        if (!window.shown.has(row.dataset.alarm)) window.shown.set(row.dataset.alarm, now - Number(row.dataset.atUs));
      }
    };
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  });
  const made = await page.evaluate(async () => {
    const rule = { name: "越线", enabled: true, kinds: ["line.crossed"], urgency: "high", group_s: 0, hold_off_s: 0 };
    const headers = { "content-type": "application/json", "x-haohe": "1" };
    return (await fetch("/api/v1/rules", { method: "POST", headers, body: JSON.stringify(rule) })).status;
  });
  if (made !== 201) throw new Error(`the rule was answered with ${made}`);
  // An operator who takes each on at once: the list stays short, and a new alarm is in sight.
  let taking = true;
  const taken = (async () => {
    while (taking) {
      if ((await page.locator("[data-alarm]").count()) > 0) await page.keyboard.press("KeyA");
      await new Promise((done) => setTimeout(done, 30));
    }
  })();
  await until(`${ALARMS} alarms on the page`, 900, () => page.evaluate((wanted) => window.shown.size >= wanted, ALARMS));
  taking = false;
  await taken;
  const seconds = (await page.evaluate(() => [...window.shown.values()])).map((us) => us / 1e6).sort((a, b) => a - b);
  const share = (part) => seconds[Math.ceil(seconds.length * part) - 1];
  figure("alarms", seconds.length, "alarms");
  figure("p50_s", share(0.5), "s");
  figure("p95_s", share(0.95), "s");
  figure("max_s", seconds.at(-1), "s");
  console.log(JSON.stringify(figures));
} finally {
  await browser?.close();
  await room.stop();
}
