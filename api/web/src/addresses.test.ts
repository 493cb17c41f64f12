import { expect, test } from "vitest";
import { camerasOf, readPlayback } from "./playback/address";
import { readRecords } from "./records/address";
import { readWall } from "./wall/address";

test("a wall's address keeps what it understands and drops the rest", () => {
  expect(readWall({ l: "9", p: "2", s: "1042", q: "main" })).toEqual({ l: 9, p: 2, s: 1042, q: "main" });
  expect(readWall({ l: "7", p: "-1", s: "x", q: "other" })).toEqual({});
  expect(readWall({ l: 16 })).toEqual({ l: 16 });
});

test("playback takes up to four cameras, each once", () => {
  expect(camerasOf("3,1,3,2,9,8")).toEqual([3, 1, 2, 9]);
  expect(camerasOf("a,-1,0,2.5")).toEqual([]);
  expect(readPlayback({ c: "1,2", t: "1795399200.5", z: "3600", q: "sub" })).toEqual({
    c: "1,2",
    t: 1795399200.5,
    z: 3600,
    q: "sub",
  });
  expect(readPlayback({ t: "soon", z: "" })).toEqual({});
});

test("the register's filters", () => {
  expect(readRecords({ person: "wang", camera: "7", action: "export" })).toEqual({ person: "wang", camera: 7, action: "export" });
  expect(readRecords({ camera: "0", action: "erase" })).toEqual({});
});
