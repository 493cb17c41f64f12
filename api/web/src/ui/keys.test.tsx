// @vitest-environment happy-dom
import { fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { digitOf, useKeys } from "./keys";

afterEach(() => {
  document.body.innerHTML = "";
});

function Listener({ heard, used }: { heard(code: string): void; used: boolean }) {
  useKeys(({ code }) => {
    heard(code);
    return used;
  });
  return (
    <>
      <button type="button">button</button>
      <input aria-label="text" />
    </>
  );
}

test("a key that the page uses does not reach the focused button", () => {
  const heard = vi.fn();
  render(<Listener heard={heard} used />);
  const went = fireEvent.keyDown(screen.getByText("button"), { code: "Enter" });
  expect(heard).toHaveBeenCalledWith("Enter");
  expect(went).toBe(false);
});

test("writing, composing and shortcuts of the browser are left alone", () => {
  const heard = vi.fn();
  render(<Listener heard={heard} used />);
  fireEvent.keyDown(screen.getByLabelText("text"), { code: "Digit1" });
  fireEvent.keyDown(screen.getByText("button"), { code: "KeyR", ctrlKey: true });
  fireEvent.keyDown(screen.getByText("button"), { code: "KeyR", isComposing: true });
  expect(heard).not.toHaveBeenCalled();
});

test("the number row and the keypad both type digits", () => {
  expect([digitOf("Digit7"), digitOf("Numpad0"), digitOf("KeyA")]).toEqual(["7", "0", undefined]);
});
