// Writes .br and .gz beside every text file of dist, and refuses a first load above its budget.
// The binary serves these files as they are, so that no node spends processor time on compressing the same bytes again.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = new URL("../dist", import.meta.url).pathname;
const FIRST_LOAD_BUDGET_BYTES = 260_000;

const files = readdirSync(dist, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && /\.(html|js|css|svg|json)$/.test(entry.name))
  .map((entry) => join(entry.parentPath, entry.name));

for (const file of files) {
  const bytes = readFileSync(file);
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
}

const manifest = JSON.parse(readFileSync(join(dist, ".vite/manifest.json"), "utf8"));
const firstLoad = new Set();
const visit = (key) => {
  const chunk = manifest[key];
  if (!chunk || firstLoad.has(chunk.file)) return;
  firstLoad.add(chunk.file);
  for (const style of chunk.css ?? []) firstLoad.add(style);
  for (const next of chunk.imports ?? []) visit(next);
};
visit("index.html");
const size = [...firstLoad].reduce((sum, file) => sum + readFileSync(join(dist, `${file}.gz`)).length, 0);
console.log(
  `first load ${(size / 1000).toFixed(1)} kB gzipped in ${firstLoad.size} files, budget ${FIRST_LOAD_BUDGET_BYTES / 1000} kB`,
);
if (size > FIRST_LOAD_BUDGET_BYTES) process.exit(1);
