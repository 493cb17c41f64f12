/** The cameras that can be played back: those of the node, and those removed from it whose footage is still kept. Pure. */
import type { Camera, Cameras, RemovedCamera, UtcMicros } from "../wire";

/** What playback needs of a camera. `removedUs`: it is no longer recorded since then. */
export type Playable = Pick<Camera, "id" | "name" | "place" | "initials"> & {
  streams: readonly Pick<Camera["streams"][number], "kind">[];
  removedUs?: UtcMicros;
};

const gone = ({ removed_us, ...camera }: RemovedCamera): Playable => ({ ...camera, removedUs: removed_us });

/** A number that was given to a new camera means the new one. */
export function playable({ cameras, removed = [] }: Pick<Cameras, "cameras" | "removed">): Playable[] {
  const present = new Set(cameras.map((camera) => camera.id));
  return [...cameras, ...removed.filter((camera) => !present.has(camera.id)).map(gone)];
}
