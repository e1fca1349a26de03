// Labels that do not collide.

const CELL = 48; // px; the grid in which taken places are looked up

/** Rectangles on the screen, none of which overlap. */
class TakenPlaces {
  constructor() {
    this.cells = new Map();
  }

  /** Take a rectangle and return true, or return false if any of it is taken. */
  take(left, top, width, height) {
    const right = left + width, bottom = top + height, keys = [];
    for (let row = Math.floor(top / CELL); row <= Math.floor(bottom / CELL); row++) {
      for (let column = Math.floor(left / CELL); column <= Math.floor(right / CELL); column++) {
        const key = row * 4096 + column;
        for (const [l, t, r, b] of this.cells.get(key) ?? []) {
          if (left < r && right > l && top < b && bottom > t) return false;
        }
        keys.push(key);
      }
    }
    for (const key of keys) {
      if (!this.cells.has(key)) this.cells.set(key, []);
      this.cells.get(key).push([left, top, right, bottom]);
    }
    return true;
  }
}

/**
 * Place labels, in the order in which they are given, where they fit into the frame.
 * @param candidates iterable of {text, x, y, font, size, centred}, in screen coordinates
 * @param measure (text, font) → width in px
 * @param most stop at this many labels
 * @returns those placed, with the left end, the baseline and the width of each
 */
function placeLabels(candidates, frame, measure, most, taken = new TakenPlaces()) {
  const placed = [];
  for (const label of candidates) {
    if (placed.length >= most) break;
    const width = measure(label.text, label.font), height = label.size * 1.25;
    const left = label.centred ? label.x - width / 2 : label.x + 6;
    const top = label.y - height / 2;
    if (left < 2 || top < 2 || left + width > frame.width - 2) continue;
    if (top + height > frame.height - 2 || !taken.take(left - 2, top, width + 4, height)) continue;
    placed.push({...label, left, width, baseline: label.y + label.size * 0.35});
  }
  return placed;
}
