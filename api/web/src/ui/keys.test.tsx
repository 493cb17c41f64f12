// @vitest-environment happy-dom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, test, vi } from "vitest";
import { useSettings } from "../settings";
import { type Acts, useKeyTable } from "./keys";

afterEach(() => {
  cleanup();
  useSettings.setState({ singleKeys: true });
});

function acts(heard: (act: string) => unknown): Acts<"anywhere"> {
  const told = (act: string) => () => heard(act);
  return {
    help: told("help"),
    wall: told("wall"),
    playback: told("playback"),
    events: told("events"),
    incidents: told("incidents"),
    health: told("health"),
    records: told("records"),
    reports: told("reports"),
    admin: told("admin"),
    fullscreen: told("fullscreen"),
    up: told("up"),
  };
}

function Listener({ heard }: { heard(act: string): unknown }) {
  useKeyTable("anywhere", acts(heard));
  return (
    <>
      <button type="button">button</button>
      <input aria-label="text" />
    </>
  );
}

function Page() {
  const left = () => false;
  useKeyTable("wall", {
    digit: left,
    enter: left,
    rub: left,
    clear: left,
    up: left,
    down: left,
    left,
    right: left,
    previous: left,
    next: left,
    replay: left,
    replay_view: left,
    labels: left,
    incident: left,
  });
  return null;
}

test("a key that the page uses does not reach the focused button, one that it declines does", () => {
  const heard = vi.fn();
  render(<Listener heard={heard} />);
  expect(fireEvent.keyDown(screen.getByText("button"), { code: "KeyF" })).toBe(false);
  expect(heard).toHaveBeenCalledWith("fullscreen");
  heard.mockReturnValue(false);
  expect(fireEvent.keyDown(screen.getByText("button"), { code: "KeyF" })).toBe(true);
});

test("writing, composing and shortcuts of the browser are left alone", () => {
  const heard = vi.fn();
  render(<Listener heard={heard} />);
  fireEvent.keyDown(screen.getByLabelText("text"), { code: "KeyF" });
  fireEvent.keyDown(screen.getByText("button"), { code: "KeyF", ctrlKey: true });
  fireEvent.keyDown(screen.getByText("button"), { code: "KeyF", isComposing: true });
  expect(heard).not.toHaveBeenCalled();
});

test("a sequence of two keys is heard as one act", () => {
  const heard = vi.fn();
  render(<Listener heard={heard} />);
  fireEvent.keyDown(document.body, { code: "KeyG" });
  expect(heard).not.toHaveBeenCalled();
  fireEvent.keyDown(document.body, { code: "KeyH" });
  expect(heard.mock.calls).toEqual([["health"]]);
});

test("single keys can be switched off, and Escape still works", () => {
  const heard = vi.fn();
  useSettings.setState({ singleKeys: false });
  render(<Listener heard={heard} />);
  fireEvent.keyDown(document.body, { code: "KeyF" });
  expect(heard).not.toHaveBeenCalled();
  fireEvent.keyDown(document.body, { code: "Escape" });
  expect(heard).toHaveBeenCalledWith("up");
});

test("a page that goes away between the two keys of a sequence does not lose the first", () => {
  const heard = vi.fn();
  render(<Listener heard={heard} />);
  const page = render(<Page />);
  fireEvent.keyDown(document.body, { code: "KeyG" });
  page.unmount();
  fireEvent.keyDown(document.body, { code: "KeyP" });
  expect(heard.mock.calls).toEqual([["playback"]]);
});
