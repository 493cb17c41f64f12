import { describe, expect, it } from "vitest";
import { between, cellAt, cellsOf, cellsText, searched, stepped } from "./region";

describe("a region of the picture", () => {
  it("is written as ranges and read back", () => {
    const cells = new Set([72, 40, 41, 42, 575]);
    expect(cellsText(cells)).toBe("40-42,72,575");
    expect(cellsOf("40-42,72,575")).toEqual(new Set([40, 41, 42, 72, 575]));
    expect(cellsText(cellsOf("574-999,x,1-"))).toBe("574-575");
    expect(cellsOf(undefined).size).toBe(0);
  });
  it("is drawn from corner to corner, whichever way the pointer goes", () => {
    expect(between(33, 66)).toEqual([33, 34, 65, 66]);
    expect(between(65, 34)).toEqual([33, 34, 65, 66]);
    expect(cellAt(1, 1)).toBe(575);
    expect(cellAt(-0.1, 0.06)).toBe(32);
  });
  it("stays in the picture when arrow keys walk", () => {
    expect(stepped(0, "ArrowLeft")).toBe(0);
    expect(stepped(31, "ArrowRight")).toBe(31);
    expect(stepped(0, "ArrowDown")).toBe(32);
    expect(stepped(0, "KeyA")).toBeUndefined();
  });
  it("is searched in the time that is meant", () => {
    const view = { fromUs: 30e6, toUs: 90e6 };
    expect(searched("view", view, undefined, undefined, 1e12)).toEqual({ fromUs: 0, toUs: 120e6 });
    expect(searched("marks", view, 5, undefined, 1e12)).toBeUndefined();
    expect(searched("marks", view, 5, 9, 1e12)).toEqual({ fromUs: 5, toUs: 9 });
    expect(searched("day", view, undefined, undefined, 86_400e6 + 1)).toEqual({ fromUs: 60e6, toUs: 86_460e6 });
  });
});
