// A real room for browser tests: two simulated fleets and `haohe room`, on loopback, in a directory of its own that is removed
// afterwards. The last camera stands in a fleet of its own, so that a test can freeze just that one.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");
const PROFILE = process.env.HAOHE_PROFILE ?? "debug";
const BINARIES = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target", PROFILE);
const NAMES = ["南门岗亭", "东门车行", "3号楼西侧", "地库入口", "社区广场", "老年活动室", "快递柜", "篮球场"];

process.env.NODE_TLS_REJECT_UNAUTHORIZED ??= "0";
process.removeAllListeners("warning");

/** A port that was free a moment ago. */
async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Waits until `probe` gives something, at most `seconds`; says `what` was waited for when it does not come. */
export async function until(what, seconds, probe) {
  const deadline = performance.now() + seconds * 1000;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Starts a process whose output is kept for the message of a failure. */
function start(name, args, log) {
  const child = spawn(join(BINARIES, name), args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  child.said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (bytes) => {
      child.said = (child.said + bytes).slice(-20_000);
    });
  }
  child.on("exit", (code) => {
    child.ended = true;
    if (code && !child.stopping) process.stderr.write(`${name} ended with ${code}\n${child.said}\n`);
  });
  log.push(child);
  return child;
}

async function stop(child) {
  if (child.ended) return;
  child.stopping = true;
  child.kill("SIGCONT");
  child.kill("SIGTERM");
  const killer = setTimeout(() => child.kill("SIGKILL"), 15_000);
  await new Promise((done) => (child.ended ? done() : child.once("exit", done)));
  clearTimeout(killer);
}

async function startFleet(cameras, shape, log) {
  const args = ["serve", "--cameras", String(cameras), "--listen", "127.0.0.1:0", "--stats-every", "0"];
  if (shape === "tiny") args.push("--tiny");
  const fleet = start("fleet", args, log);
  // The first start renders and encodes its clips.
  const line = await until("the fleet listens", 600, () => {
    if (fleet.ended) throw new Error(`the fleet did not start\n${fleet.said}`);
    return /"listening":"([^"]+)"/.exec(fleet.said);
  });
  fleet.address = line[1];
  return fleet;
}

function configuration(dir, port, cameras, hook) {
  const head = `[node]
name = "东苑社区监控室"
tier = "room"
state_dir = "${dir}/state"

[http]
listen = "127.0.0.1:${port}"

[ingest]
allow_networks = ["127.0.0.1/32"]

[footage]
segment_mib = 16
sub_segment_mib = 8

[[volume]]
name = "d1"
path = "${dir}/volume"
capacity = "3 GiB"
`;
  const told = hook ? `
[[hook]]
name = "dispatch"
url = "${hook}"
secret_file = "${dir}/hook"
allow_networks = ["127.0.0.1/32"]
` : "";
  return head + told + cameras.map(({ id, name, url }) => `
[[camera]]
id = ${id}
name = "${name}"
place = ["东苑社区", "${Math.ceil(id / 8)}号片区"]
main = "${url}/main"
sub = "${url}/sub"
`).join("");
}

/**
 * A running room of `cameras` cameras, `shape` "tiny" or "full"; alarms are told to `hook`, an address of this machine, where given. Gives its address, the one-time passwords of `wang` and `zhao` (operators
 * and administrators) and of `shen` (auditor), the fleet of the last camera, and `stop`.
 */
export async function startRoom({ cameras = 16, shape = "tiny", hook } = {}) {
  const dir = mkdtempSync(join(tmpdir(), "haohe-page-"));
  const children = [];
  const end = async () => {
    for (const child of children.reverse()) await stop(child);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    for (const part of ["state", "volume"]) mkdirSync(join(dir, part), { mode: 0o700 });
    const many = await startFleet(cameras - 1, shape, children);
    const last = await startFleet(1, shape, children);
    const list = Array.from({ length: cameras }, (_, index) => {
      const id = index + 1;
      const url = id < cameras ? `rtsp://${many.address}/cam/${id}` : `rtsp://${last.address}/cam/1`;
      return { id, name: `${NAMES[index % NAMES.length]}${Math.floor(index / NAMES.length) + 1}`, url };
    });
    const port = await freePort();
    const config = join(dir, "room.toml");
    if (hook) writeFileSync(join(dir, "hook"), `${"s".repeat(40)}\n`, { mode: 0o600 });
    writeFileSync(config, configuration(dir, port, list, hook));
    const add = (name, ...roles) =>
      execFileSync(join(BINARIES, "haohe"), ["person", "add", name, "--config", config, "--one-time", ...roles.flatMap((role) => ["--role", role])], {
        encoding: "utf8",
      }).trim();
    const passwords = { wang: add("wang", "operator", "admin"), zhao: add("zhao", "operator", "admin"), shen: add("shen", "auditor") };
    const room = start("haohe", ["room", "--config", config], children);
    const url = `https://127.0.0.1:${port}`;
    await until("the room answers", 60, async () => {
      if (room.ended) throw new Error(`the room did not start\n${room.said}`);
      return fetch(`${url}/api/v1/version`).then((response) => response.ok, () => false);
    });
    return { url, passwords, last, room, lastCamera: cameras, stop: end };
  } catch (error) {
    await end();
    throw error;
  }
}
