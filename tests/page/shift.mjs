// How a shift begins in most of these tests: a room with cameras that record, a browser, and an operator who is signed in.
import { after, before } from "node:test";
import { openBrowser, signIn } from "./browser.mjs";
import { startRoom } from "./room.mjs";

/**
 * Starts them before a file's tests, hands them over as `{ room, page, api, complaints }`, and ends them after. `api` asks the room
 * for a path below `/api/v1` as the page would; `complaints` are those of the browser's console.
 */
export function onShift({ cameras }, begun) {
  let room;
  let browser;
  before(async () => {
    room = await startRoom({ cameras });
    browser = await openBrowser();
    const { page } = browser;
    await signIn(page, room.url, "wang", room.passwords.wang);
    const api = (path) => page.evaluate(async (to) => (await fetch(`/api/v1${to}`)).json(), path);
    begun({ room, page, api, complaints: browser.complaints });
  });
  after(async () => {
    await browser?.close();
    await room?.stop();
  });
}
