/**
 * One canvas for all tiles. Each slot keeps its newest picture until a newer one comes, so that a changed layout is redrawn at
 * once; everything older is closed in the same turn. Painting happens once per display frame however many pictures arrived.
 */
import type { Rect } from "./protocol";
import type { FrameLedger, Picture } from "./source";

type Place = { rect: Rect; picture?: Picture; fresh: boolean };

export class Painter {
  #places = new Map<string, Place>();
  #scheduled = false;
  #all = false;

  constructor(
    private readonly canvas: OffscreenCanvas,
    private readonly context: OffscreenCanvasRenderingContext2D,
    private readonly ledger: FrameLedger,
    private readonly onPainted: (slot: string, picture: Picture) => void,
  ) {}

  layout(places: Iterable<[string, Rect]>, width: number, height: number): void {
    const old = this.#places;
    this.#places = new Map();
    for (const [slot, rect] of places) {
      const kept = old.get(slot);
      this.#places.set(slot, kept ? { ...kept, rect } : { rect, fresh: false });
      old.delete(slot);
    }
    for (const place of old.values()) if (place.picture) this.ledger.close(place.picture.frame);
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    this.#all = true;
    this.#schedule();
  }

  show(slot: string, picture: Picture): void {
    const place = this.#places.get(slot);
    if (!place) {
      this.ledger.close(picture.frame);
      return;
    }
    if (place.picture) this.ledger.close(place.picture.frame);
    place.picture = picture;
    place.fresh = true;
    this.#schedule();
  }

  /** Forgets a slot's picture and blackens its place: it shows another camera from now on. */
  clear(slot: string): void {
    const place = this.#places.get(slot);
    if (!place) return;
    if (place.picture) this.ledger.close(place.picture.frame);
    delete place.picture;
    place.fresh = false;
    const { x, y, width, height } = place.rect;
    this.context.clearRect(x, y, width, height);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => this.#paint());
  }

  #paint(): void {
    this.#scheduled = false;
    if (this.#all) this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    for (const [slot, place] of this.#places) {
      if (!place.picture || !(place.fresh || this.#all)) continue;
      const { frame } = place.picture;
      const target = within(frame.displayWidth, frame.displayHeight, place.rect);
      this.context.drawImage(frame, target.x, target.y, target.width, target.height);
      if (place.fresh) {
        place.fresh = false;
        this.onPainted(slot, place.picture);
      }
    }
    this.#all = false;
  }
}

/** The largest rectangle of the picture's shape inside `rect`, centred: nothing is cropped and nothing is stretched. */
export function within(width: number, height: number, rect: Rect): Rect {
  const scale = Math.min(rect.width / width, rect.height / height);
  const w = Math.round(width * scale);
  const h = Math.round(height * scale);
  return { x: rect.x + Math.round((rect.width - w) / 2), y: rect.y + Math.round((rect.height - h) / 2), width: w, height: h };
}
