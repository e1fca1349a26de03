// Which part of the map is seen.

const LARGEST_ZOOM = 200;
const NEAREST_VIEW = 9; // the largest zoom at which some words are shown,
const WORDS_IN_VIEW = 60; // where this many others would be in view on average
const MARGIN = 0.92; // of the frame that the whole map takes
const MOST_STRETCHED = 1.45;

class Camera {
  /** @param {Float32Array} places x and y of all points, from 0 to 1 */
  constructor(places) {
    this.width = this.height = 1;
    this.words = places.length / 2;
    const xs = places.filter((_, i) => i % 2 === 0), ys = places.filter((_, i) => i % 2);
    const range = values => values.reduce(
      ([low, high], value) => [Math.min(low, value), Math.max(high, value)], [1, 0]);
    this.bounds = [range(xs), range(ys)];
    this.reset();
  }

  reset() {
    const [[left, right], [top, bottom]] = this.bounds;
    Object.assign(this, {x: (left + right) / 2, y: (top + bottom) / 2, zoom: 1});
  }

  resize(width, height) {
    Object.assign(this, {width, height});
  }

  /** Pixels per unit of the map, from left to right and from top to bottom. */
  get scales() {
    const [[left, right], [top, bottom]] = this.bounds;
    const wide = this.width / (right - left || 1), high = this.height / (bottom - top || 1);
    const fit = Math.min(wide, high) * MARGIN * this.zoom;
    // Only who is near to whom means something: the map may stretch to fill its frame.
    return [fit * Math.min(MOST_STRETCHED, Math.max(1, wide / high)),
      fit * Math.min(MOST_STRETCHED, Math.max(1, high / wide))];
  }

  toScreen(x, y) {
    const [across, down] = this.scales;
    return [(x - this.x) * across + this.width / 2, (y - this.y) * down + this.height / 2];
  }

  toMap(x, y) {
    const [across, down] = this.scales;
    return [(x - this.width / 2) / across + this.x, (y - this.height / 2) / down + this.y];
  }

  pan(dx, dy) {
    const [across, down] = this.scales;
    this.x = Math.min(1, Math.max(0, this.x - dx / across));
    this.y = Math.min(1, Math.max(0, this.y - dy / down));
  }

  /** Zoom by a factor so that the point under (x, y) on the screen stays where it is. */
  zoomAt(x, y, factor) {
    const [mapX, mapY] = this.toMap(x, y);
    this.zoom = Math.min(LARGEST_ZOOM, Math.max(0.6, this.zoom * factor));
    const [nowX, nowY] = this.toScreen(mapX, mapY);
    this.pan(x - nowX, y - nowY);
  }

  /** Return the view that shows all of some points (x, y), with room around them. */
  viewOf(points) {
    const xs = points.map(point => point[0]), ys = points.map(point => point[1]);
    const [left, right, top, bottom] = [
      Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
    const [across, down] = this.scales.map(scale => scale / this.zoom);
    const zoom = 0.6 * Math.min(
      this.width / Math.max(right - left, 0.02) / across,
      this.height / Math.max(bottom - top, 0.02) / down);
    const nearest = Math.min(NEAREST_VIEW, Math.max(1.5, Math.sqrt(this.words / WORDS_IN_VIEW)));
    const limited = Math.min(nearest, Math.max(1, zoom));
    return {x: (left + right) / 2, y: (top + bottom) / 2, zoom: limited};
  }

  /** Whether the view is another than that of the whole map. */
  get hasMoved() {
    const [[left, right], [top, bottom]] = this.bounds;
    return this.zoom !== 1 || this.x !== (left + right) / 2 || this.y !== (top + bottom) / 2;
  }

  get view() {
    return {x: this.x, y: this.y, zoom: this.zoom};
  }

  set view({x, y, zoom}) {
    Object.assign(this, {x, y, zoom});
  }
}
