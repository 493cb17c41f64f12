import { expect, test } from "vitest";
import { Refused } from "../api";
import { type Still, Stills, type StillWish } from "./stills";

const wish = (camera: number): StillWish => ({ camera, stream: "sub", at_us: 1_000_000 });
const settle = async () => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

/** A node that answers when it is told to. */
function node() {
  const asked: number[] = [];
  const answers = new Map<number, { give(url: string): void; refuse(status: number): void }>();
  const forgotten: string[] = [];
  const waits: number[] = [];
  const stills = new Stills(
    ({ camera }, signal) =>
      new Promise((give, fail) => {
        asked.push(camera);
        signal.addEventListener("abort", () => fail(new Error("aborted")));
        const refuse = (status: number) =>
          fail(new Refused({ status, code: "x", state: { zh: "没有录像", en: "nothing" }, remedy: { zh: "", en: "" } }));
        answers.set(camera, { give, refuse });
      }),
    (url) => forgotten.push(url),
    async (ms) => void waits.push(ms),
  );
  const look = (camera: number) => {
    const seen: Still[] = [];
    return { seen, leave: stills.look(wish(camera), (still) => seen.push(still)) };
  };
  return { asked, answers, forgotten, waits, look };
}

test("three are asked for at once, in the order in which they came into sight", async () => {
  const { asked, answers, look } = node();
  const all = [1, 2, 3, 4, 5].map(look);
  expect(asked).toEqual([1, 2, 3]);
  answers.get(2)?.give("blob:2");
  await settle();
  expect(asked).toEqual([1, 2, 3, 4]);
  expect(all[1]?.seen).toEqual([{ state: "waiting" }, { state: "shown", url: "blob:2" }]);
});

test("what left sight before its turn is never asked for, and what is kept is not asked for twice", async () => {
  const { asked, answers, look } = node();
  const [first, , , fourth] = [1, 2, 3, 4].map(look);
  fourth?.leave();
  answers.get(1)?.give("blob:1");
  await settle();
  first?.leave();
  expect(look(1).seen).toEqual([{ state: "shown", url: "blob:1" }]);
  expect(asked).toEqual([1, 2, 3]);
});

test("what was scrolled past while it was under way is let go of", async () => {
  const { asked, look } = node();
  const shown = [1, 2, 3, 4].map(look);
  shown[0]?.leave();
  await settle();
  expect(asked).toEqual([1, 2, 3, 4]);
});

test("without footage the node's own words are told; a busy node is asked again and not for ever", async () => {
  const { asked, answers, waits, look } = node();
  const [none, busy] = [look(1), look(2)];
  answers.get(1)?.refuse(404);
  for (let attempt = 1; attempt <= 4; attempt++) {
    answers.get(2)?.refuse(503);
    await settle();
  }
  expect(none.seen.at(-1)).toEqual({ state: "none", recorded: false, says: { zh: "没有录像", en: "nothing" } });
  expect(busy.seen.at(-1)).toMatchObject({ state: "none", recorded: true });
  expect(asked.filter((camera) => camera === 2)).toHaveLength(4);
  expect(waits).toEqual([800, 1600, 2400]);
});

test("pictures that nobody looks at are forgotten beyond a bound", async () => {
  const { answers, forgotten, look } = node();
  for (let camera = 1; camera <= 245; camera++) {
    const { leave } = look(camera);
    answers.get(camera)?.give(`blob:${camera}`);
    await settle();
    leave();
  }
  expect(forgotten).toEqual(["blob:1", "blob:2", "blob:3", "blob:4", "blob:5"]);
});
