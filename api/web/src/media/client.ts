/**
 * The page's side of the media worker. Keeps what the worker last said in a store that tiles read; a worker that falls silent is
 * noticed because ages are computed here, from the last presented picture, by the page's own clock.
 */
import { create } from "zustand";
import { mediaUrl } from "../api";
import type { FromWorker, SlotReport, ToWorker, Want } from "./protocol";

export const pageNowMs = () => performance.timeOrigin + performance.now();

export type Link = { state: "connecting" | "open" | "lost"; sinceMs: number };

type MediaState = {
  link: Link;
  slots: ReadonlyMap<string, SlotReport>;
  kbitPerS: number;
};

/** What the worker of this window last said. One window has one media socket, so one store. */
export const useMediaState = create<MediaState>(() => nothing());

function nothing(): MediaState {
  return { link: { state: "connecting", sinceMs: pageNowMs() }, slots: new Map(), kbitPerS: 0 };
}

export type Media = {
  show(wants: Want[], width: number, height: number): void;
  close(): void;
};

/** Takes the canvas over for good: a canvas can be handed to a worker once. */
export function openMedia(canvas: HTMLCanvasElement): Media {
  const openedMs = performance.now();
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "media-mux" });
  useMediaState.setState(nothing());
  const tell = (message: ToWorker, transfer: Transferable[] = []) => worker.postMessage(message, transfer);

  worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
    switch (data.op) {
      case "link":
        useMediaState.setState({ link: { state: data.state, sinceMs: data.sinceMs } });
        break;
      case "slots":
        useMediaState.setState({ slots: new Map(data.slots.map((slot) => [slot.slot, slot])), kbitPerS: data.kbitPerS });
        // The newest accounting of decoded frames, for whoever measures this page from outside.
        document.documentElement.dataset.framesHeld = String(data.framesHeld);
        document.documentElement.dataset.decoders = String(data.decoders);
        break;
      case "first":
        performance.measure("first-picture", {
          start: openedMs,
          end: data.atMs - performance.timeOrigin,
          detail: { slot: data.slot, camera: data.camera },
        });
    }
  });

  const onVisibility = () => tell({ op: "hide", hidden: document.hidden });
  document.addEventListener("visibilitychange", onVisibility);

  const offscreen = canvas.transferControlToOffscreen();
  tell({ op: "open", url: mediaUrl(), canvas: offscreen }, [offscreen]);
  onVisibility();

  return {
    show: (wants, width, height) => tell({ op: "show", wants, width, height }),
    close() {
      document.removeEventListener("visibilitychange", onVisibility);
      useMediaState.setState(nothing());
      tell({ op: "close" });
      // The worker ends itself after closing its decoders; this is for one that no longer listens.
      setTimeout(() => worker.terminate(), 2000);
    },
  };
}
