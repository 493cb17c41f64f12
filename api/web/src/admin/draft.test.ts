import { expect, test } from "vitest";
import type { Camera } from "../wire";
import { draftOf, freeId, placeOf, wishOf, wrongIn } from "./draft";

const gate: Camera = {
  id: 7,
  name: "南门岗亭",
  place: ["东苑社区", "3号楼"],
  initials: "nmgt",
  enabled: true,
  retention: "key_target",
  priority: "key",
  transport: "udp",
  driver: "retina",
  driver_wanted: null,
  onvif: "http://10.0.0.7/onvif/device_service",
  audio: null,
  has_password: true,
  managed: "api",
  streams: [{ kind: "main", address: "rtsp://10.0.0.7/main", state: { word: "playing" } }],
};

test("a camera saved as it was opened is the same camera, and its password is left alone", () => {
  const wish = wishOf(draftOf(gate, 1));
  expect(wish).toEqual({
    id: 7,
    name: "南门岗亭",
    place: ["东苑社区", "3号楼"],
    main: "rtsp://10.0.0.7/main",
    sub: null,
    onvif: "http://10.0.0.7/onvif/device_service",
    transport: "udp",
    // The probe's verdict is no wish: an automatic choice stays automatic.
    driver: null,
    retention: "key_target",
    priority: "key",
    audio: null,
    enabled: true,
  });
});

test("a driver of our own can be wished for, and a password set or forgotten", () => {
  const draft = draftOf(gate, 1);
  expect(wishOf({ ...draft, driver: "native" }).driver).toBe("native");
  expect(wishOf({ ...draft, login: "set", user: "admin", password: "p" })).toMatchObject({ user: "admin", password: "p" });
  const cleared = wishOf({ ...draft, login: "clear" });
  expect([cleared.user, "password" in cleared]).toEqual(["", false]);
});

test("places are split at either slash, and a new camera gets the first free number", () => {
  expect(placeOf(" 东苑社区／3号楼/ ")).toEqual(["东苑社区", "3号楼"]);
  expect(freeId([{ ...gate, id: 1 }, { ...gate, id: 2 }, gate])).toBe(3);
});

test("what is not an address of its kind is named before it is sent", () => {
  const draft = draftOf(gate, 1);
  expect(wrongIn(draft)).toBeUndefined();
  expect([wrongIn({ ...draft, main: "10.0.0.7" }), wrongIn({ ...draft, sub: "http://10.0.0.7/" })]).toEqual(["main", "sub"]);
  expect([wrongIn({ ...draft, onvif: "10.0.0.7" }), wrongIn({ ...draft, onvif: "" })]).toEqual(["onvif", undefined]);
  expect([wrongIn({ ...draft, id: "7a" }), wrongIn({ ...draft, name: " " })]).toEqual(["id", "name"]);
});
