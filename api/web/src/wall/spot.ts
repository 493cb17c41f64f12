/** Which stream the spot shows. "Auto" takes the main stream where the spot is large enough to profit from it, and gives it up
 * for this camera when this machine cannot decode it or cannot keep up. */
import { useEffect, useRef, useState } from "react";
import type { LiveTier, SlotReport } from "../media/protocol";
import type { Camera } from "../wire";
import type { SpotStream } from "./address";

/** Below this width in device pixels a 640-pixel sub-stream looks the same. */
const MAIN_FROM_WIDTH_PX = 1000;
/** A main stream that shows less than half of its pictures for this long is too heavy here. */
const SLOW_FOR_MS = 5000;

export function spotTier(camera: Camera, stream: SpotStream, widthPx: number, tooHeavy: boolean): LiveTier {
  const has = (kind: "main" | "sub") => camera.streams.some((one) => one.kind === kind);
  if (stream !== "auto") return has(stream) ? stream : "main";
  if (!has("sub")) return "main";
  return widthPx >= MAIN_FROM_WIDTH_PX && !tooHeavy ? "main" : "sub";
}

/** Whether the main stream of the spot's camera has proved too heavy for this machine. */
export function useTooHeavy(camera: Camera | undefined, report: SlotReport | undefined): boolean {
  const [heavy, setHeavy] = useState<number>();
  const slowSince = useRef<number>(undefined);
  useEffect(() => {
    if (!camera || report?.tier !== "main" || report.camera !== camera.id) {
      slowSince.current = undefined;
      return;
    }
    if (report.trouble?.why === "codec") {
      setHeavy(camera.id);
      return;
    }
    const nominal = camera.streams.find((one) => one.kind === "main")?.fps ?? 0;
    const slow = report.presented !== undefined && nominal > 0 && report.fps > 0 && report.fps < nominal / 2;
    if (!slow) slowSince.current = undefined;
    else if (slowSince.current === undefined) slowSince.current = performance.now();
    else if (performance.now() - slowSince.current > SLOW_FOR_MS) setHeavy(camera.id);
  }, [camera, report]);
  return camera !== undefined && heavy === camera.id;
}
