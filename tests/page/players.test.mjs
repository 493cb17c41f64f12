// Other people's players on our footage: a recorded range as HLS has to play where nobody knows of us.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { openBrowser, signIn } from "./browser.mjs";
import { ROOT, startRoom, until } from "./room.mjs";

const HLS = join(ROOT, "api/web/node_modules/hls.js/dist/hls.min.js");
const SECONDS = 8;
let room;
let browser;
let page;
let playlist;

before(async () => {
  room = await startRoom({ cameras: 2 });
  // The library is put into the page from outside, which the page's own rules for scripts rightly forbid.
  browser = await openBrowser({ bypassCSP: true });
  page = browser.page;
  await signIn(page, room.url, "wang", room.passwords.wang);
  const span = await until(`${SECONDS} recorded seconds`, 60, () =>
    page.evaluate(async (seconds) => {
      const now = Date.now() * 1000;
      const answer = await fetch(`/api/v1/coverage?cameras=1&stream=main&from_us=${now - 600e6}&to_us=${now}&px=4000`);
      const { rows } = await answer.json();
      return rows[0].intervals.find(([from, to, code]) => code === 0 && to - from > (seconds + 2) * 1e6);
    }, SECONDS),
  );
  playlist = `/api/v1/footage/1/main.m3u8?from_us=${span[0]}&to_us=${span[0] + SECONDS * 1e6}`;
});

after(async () => {
  await browser?.close();
  await room?.stop();
});

test("hls.js plays a recorded range to its end without an error", async () => {
  await page.addScriptTag({ path: HLS });
  const seen = await page.evaluate(async (source) => {
    const video = document.createElement("video");
    video.muted = true;
    document.body.append(video);
    const hls = new Hls({ enableWorker: false });
    const errors = [];
    hls.on(Hls.Events.ERROR, (_, error) => errors.push(`${error.details} ${error.error?.message ?? ""}`));
    hls.loadSource(source);
    hls.attachMedia(video);
    const ended = new Promise((done) => {
      video.addEventListener("ended", done, { once: true });
      setTimeout(done, 60_000);
    });
    await video.play();
    await ended;
    const { totalVideoFrames: frames } = video.getVideoPlaybackQuality();
    const result = { errors, frames, ended: video.ended, seconds: video.duration, width: video.videoWidth, height: video.videoHeight };
    hls.destroy();
    video.remove();
    return result;
  }, playlist);
  assert.deepEqual({ errors: seen.errors, ended: seen.ended, width: seen.width, height: seen.height }, { errors: [], ended: true, width: 320, height: 180 });
  // Fragments are whole: the range may begin and end up to a fragment outside what was asked for.
  assert.ok(seen.seconds >= SECONDS && seen.seconds < SECONDS + 5, `${seen.seconds} s of it`);
  assert.ok(seen.frames > SECONDS * 10, `${seen.frames} pictures`);
});

/** VLC has no way to sign in: a door on loopback adds the login that the browser has. */
async function openDoor() {
  const cookie = (await browser.context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const asked = [];
  const server = createServer(async (request, response) => {
    asked.push(request.url);
    const headers = { cookie, ...(request.headers.range ? { range: request.headers.range } : {}) };
    const answer = await fetch(room.url + request.url, { headers });
    response.writeHead(answer.status, Object.fromEntries([...answer.headers].filter(([name]) => /^content-(type|length|range)$/.test(name))));
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return { url: `http://127.0.0.1:${server.address().port}`, asked, close: () => new Promise((done) => server.close(done)) };
}

test("VLC decodes the pictures of a recorded range", async () => {
  const door = await openDoor();
  const shots = mkdtempSync(join(tmpdir(), "haohe-vlc-"));
  // VLC will not run as root.
  chmodSync(shots, 0o777);
  const vlc = ["cvlc", "-I", "dummy", "--no-audio", "--vout", "dummy", "--video-filter", "scene", "--scene-path", shots, "--scene-prefix", "shot"];
  const command = [...vlc, "--scene-ratio", "5", "--scene-format", "png", "--play-and-exit", "--run-time", "20", door.url + playlist, "vlc://quit"];
  const other = process.getuid() === 0 ? ["runuser", "-u", "nobody", "--"] : [];
  const [program, ...args] = ["timeout", "60", ...other, "env", `HOME=${shots}`, ...command];
  const said = await new Promise((done) => execFile(program, args, (_, stdout, stderr) => done(stdout + stderr)));
  const pictures = readdirSync(shots).filter((name) => name.endsWith(".png") && statSync(join(shots, name)).size > 1000);
  rmSync(shots, { recursive: true, force: true });
  await door.close();
  assert.ok(pictures.length >= 10, `${pictures.length} pictures; it asked for ${door.asked.join(" ")} and said:\n${said}`);
});
