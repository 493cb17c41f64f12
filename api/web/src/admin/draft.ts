/** A camera's settings as they stand in the form, and as the node wants them. Pure. */
import type { Camera, CameraWish, Driver } from "../wire";

export type DriverChoice = Driver | "auto";

/** Text as typed; `password` only ever holds what was typed now. */
export type Draft = {
  id: string;
  name: string;
  place: string;
  main: string;
  sub: string;
  onvif: string;
  user: string;
  password: string;
  /** What becomes of the user and password that the node knows. */
  login: "keep" | "set" | "clear";
  transport: Camera["transport"];
  driver: DriverChoice;
  retention: Camera["retention"];
  priority: Camera["priority"];
  audio: string;
  enabled: boolean;
};

const address = (camera: Camera, kind: "main" | "sub") => camera.streams.find((stream) => stream.kind === kind)?.address ?? "";

/** A place is written outermost first, with slashes: `东苑社区/3号楼`. */
export const placeOf = (text: string): string[] =>
  text
    .split(/[/／]/)
    .map((part) => part.trim())
    .filter((part) => part !== "");

export function draftOf(camera: Camera | undefined, freeId: number): Draft {
  return {
    id: String(camera?.id ?? freeId),
    name: camera?.name ?? "",
    place: camera?.place.join("/") ?? "",
    main: camera ? address(camera, "main") : "",
    sub: camera ? address(camera, "sub") : "",
    onvif: camera?.onvif ?? "",
    user: "",
    password: "",
    login: camera?.has_password === false || !camera ? "set" : "keep",
    transport: camera?.transport ?? "tcp",
    driver: camera?.driver_wanted ?? "auto",
    retention: camera?.retention ?? "standard",
    priority: camera?.priority ?? "normal",
    audio: camera?.audio ?? "",
    enabled: camera?.enabled ?? true,
  };
}

export function wishOf(draft: Draft): CameraWish {
  const wish: CameraWish = {
    id: Number(draft.id),
    name: draft.name.trim(),
    place: placeOf(draft.place),
    main: draft.main.trim(),
    sub: draft.sub.trim() || null,
    onvif: draft.onvif.trim() || null,
    transport: draft.transport,
    driver: draft.driver === "auto" ? null : draft.driver,
    retention: draft.retention,
    priority: draft.priority,
    audio: draft.audio.trim() || null,
    enabled: draft.enabled,
  };
  if (draft.login === "clear") wish.user = "";
  if (draft.login === "set" && draft.user.trim() !== "") {
    wish.user = draft.user.trim();
    wish.password = draft.password;
  }
  return wish;
}

const ADDRESS = /^rtsps?:\/\/[^\s/]+/;
const DEVICE = /^https?:\/\/[^\s/]+/;

/** The first field that the node could only refuse without naming it. */
export function wrongIn(draft: Draft): "id" | "name" | "main" | "sub" | "onvif" | undefined {
  if (!/^[1-9]\d*$/.test(draft.id.trim())) return "id";
  if (draft.name.trim() === "") return "name";
  if (!ADDRESS.test(draft.main.trim())) return "main";
  if (draft.sub.trim() !== "" && !ADDRESS.test(draft.sub.trim())) return "sub";
  return draft.onvif.trim() === "" || DEVICE.test(draft.onvif.trim()) ? undefined : "onvif";
}

/** The smallest number that no camera has. */
export function freeId(cameras: readonly Camera[]): number {
  const taken = new Set(cameras.map((camera) => camera.id));
  let id = 1;
  while (taken.has(id)) id += 1;
  return id;
}
