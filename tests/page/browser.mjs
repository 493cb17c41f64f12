// Debian's Chromium, headless and without a GPU, with a profile of its own; and what every browser test does first.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "./room.mjs";

const { chromium } = createRequire(join(ROOT, "api/web/package.json"))("playwright-core");
const SHOTS = join(ROOT, ".cache/screenshots");
const THEME_SWITCH = 'button[aria-label^="切换为"], button[aria-label$=" theme"]';

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--autoplay-policy=no-user-gesture-required",
  // The room's certificate is its own; the media socket is opened by a worker, which only this flag reaches.
  "--ignore-certificate-errors",
];

/** `bypassCSP` lets a test put a script into the page. */
export async function openBrowser({ bypassCSP = false } = {}) {
  const profile = mkdtempSync(join(tmpdir(), "haohe-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: FLAGS,
    viewport: { width: 1600, height: 900 },
    ignoreHTTPSErrors: true,
    bypassCSP,
    timezoneId: "Asia/Shanghai",
    acceptDownloads: true,
  });
  const page = context.pages()[0] ?? (await context.newPage());
  // A busy machine is slow, not broken.
  page.setDefaultTimeout(45_000);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    // An answer of 401 before the sign-in is how the page learns that there is none.
    if (message.type() === "error" && !message.text().includes("401")) complaints.push(`${message.text()} ${message.location().url}`);
  });
  return {
    page,
    context,
    complaints,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

const NEW_PASSWORD = "long enough for a test 7";

/** Signs in with a one-time password, chooses another, and arrives on the first page. Without a password: again, with the one chosen. */
export async function signIn(page, url, name, password) {
  await page.goto(url);
  await page.fill("input[name=name]", name);
  await page.fill("input[name=password]", password ?? NEW_PASSWORD);
  await page.click("button[type=submit]");
  if (password === undefined) {
    await page.waitForSelector("header time");
    return;
  }
  await page.fill("input[name=old]", password);
  await page.fill("input[name=new]", NEW_PASSWORD);
  await page.fill("input[name=again]", NEW_PASSWORD);
  await page.click("button[type=submit]");
  await page.waitForSelector("header time");
}

/** A picture of the page in Chinese and in English, kept as test output. A page under a dialog cannot change its language. */
export async function shoot(page, name) {
  mkdirSync(SHOTS, { recursive: true });
  if ((await page.locator("[role=dialog]").count()) > 0) {
    await page.screenshot({ path: join(SHOTS, `${name}-zh.png`) });
    return;
  }
  for (const language of ["zh", "en"]) {
    const shown = await page.getAttribute("html", "lang");
    if (shown !== (language === "zh" ? "zh-CN" : "en")) await page.click("button[aria-label*='Switch to']:has(span[lang])");
    await page.screenshot({ path: join(SHOTS, `${name}-${language}.png`) });
  }
  await page.click("button[aria-label*='Switch to']:has(span[lang])");
}

/** As `shoot`, in the dark and in the light theme, by the page's own switch. */
export async function shootInThemes(page, name) {
  const shown = () => page.getAttribute("html", "data-theme");
  for (const theme of ["dark", "light"]) {
    if ((await shown()) !== theme) await page.click(THEME_SWITCH);
    await shoot(page, `${name}-${theme}`);
  }
  await page.click(THEME_SWITCH);
}

/** Has pages opened from now on keep in `loudest` how loud, of 1, they ever were: beside the loudspeakers there is an ear. */
export async function listen(page) {
  await page.addInitScript(() => {
    globalThis.loudest = 0;
    const { connect } = AudioNode.prototype;
    AudioNode.prototype.connect = function (target, ...rest) {
      if (target instanceof AudioDestinationNode) {
        const ear = this.context.createAnalyser();
        connect.call(this, ear);
        const samples = new Float32Array(ear.fftSize);
        const turns = setInterval(() => {
          ear.getFloatTimeDomainData(samples);
          for (const sample of samples) globalThis.loudest = Math.max(globalThis.loudest, Math.abs(sample));
        }, 10);
        setTimeout(() => clearInterval(turns), 3_000);
      }
      return connect.call(this, target, ...rest);
    };
  });
}
