// The map of words: points, labels, lit words, and what the pointer and the keyboard do.

const NEAR = 14; // px within which a point counts as pointed at
const MOST_POINTS_SEARCHED = 400; // matches of a search that are lit
const AREA_PER_LABEL = 7000; // px²
const LONGEST_LABEL = 24; // letters
const LABEL = 12.5, NAME = 15; // px
const STILL = window.matchMedia("(prefers-reduced-motion: reduce)");

class WordMap {
  /**
   * @param root the element with two canvases, `.points` and `.labels`, and a `.tooltip`
   * @param on {select(id or null), view(), theme() → colours}
   */
  constructor(root, on) {
    Object.assign(this, {root, on, lit: {selected: -1, near: [], matches: null}, colour: "cluster"});
    [this.pointsCanvas, this.canvas] = root.querySelectorAll("canvas");
    this.tooltip = root.querySelector(".tooltip");
    this.drawer = pointDrawer(this.pointsCanvas);
    this.drawer.onrestore = () => this.redraw();
    this.context = this.canvas.getContext("2d");
    this.widths = new Map();
    this.hovered = -1;
    new ResizeObserver(() => this.resize()).observe(root);
    listenToPointers(this);
    this.canvas.addEventListener("keydown", event => this.key(event));
  }

  show(model) {
    const view = this.camera?.view;
    Object.assign(this, {model, camera: new Camera(model.places)});
    if (view) this.camera.view = view;
    this.widths.clear();
    this.index = indexOfPlaces(model.places);
    this.paint();
    this.resize();
  }

  resize() {
    const {clientWidth: width, clientHeight: height} = this.root;
    if (!width || !height || !this.camera) return;
    this.ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.pointsCanvas, this.canvas]) {
      Object.assign(canvas, {width: width * this.ratio, height: height * this.ratio});
    }
    this.camera.resize(width, height);
    this.draw();
  }

  /** Give every point its colour and size; the most frequent words are drawn last, on top. */
  paint() {
    const {model} = this, n = model.mapped, theme = this.on.theme();
    const colours = new Uint8Array(4 * n), sizes = new Float32Array(n);
    const places = new Float32Array(2 * n);
    for (let i = 0; i < n; i++) {
      const id = n - 1 - i, rarity = Math.log1p(id) / Math.log1p(n);
      const colour = this.colour === "cluster"
        ? theme.palette[model.clusters[model.clusterOf[id]].colour]
        : mixed(theme.frequent, theme.rare, rarity);
      colours.set([...colour, 205], 4 * i);
      sizes[i] = 3 + 7 * (1 - rarity);
      places.set(model.places.subarray(2 * id, 2 * id + 2), 2 * i);
    }
    this.drawer.load(places, colours, sizes);
  }

  light(lit) {
    Object.assign(this.lit, lit);
    this.redraw();
  }

  /** Draw before the screen is next refreshed, however often it is asked for. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    if (!this.camera || !this.ratio) return;
    const {selected, matches} = this.lit, dim = selected >= 0 || matches;
    const enlarge = Math.min(2.2, this.camera.zoom ** 0.35) * Math.min(1, this.camera.width / 700 + 0.2);
    this.drawer.draw(this.camera, this.ratio, enlarge, dim ? 0.28 : 0.9, this.on.theme().paper);
    this.context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    this.context.clearRect(0, 0, this.camera.width, this.camera.height);
    this.drawLit();
    this.labels = this.chooseLabels();
    for (const label of this.labels) this.write(label);
  }

  screen(id) {
    return this.camera.toScreen(this.model.places[2 * id], this.model.places[2 * id + 1]);
  }

  /** The words of the map that are lit: the selected one and its neighbours, or what was found. */
  get litIds() {
    const {selected, near, matches} = this.lit;
    const ids = selected >= 0 ? [selected, ...near] : matches ?? [];
    return ids.filter(id => id < this.model.mapped).slice(0, MOST_POINTS_SEARCHED);
  }

  drawLit() {
    const {context, lit} = this, theme = this.on.theme(), ids = this.litIds;
    const from = lit.selected >= 0 && lit.selected < this.model.mapped && this.screen(lit.selected);
    context.lineWidth = 1;
    context.strokeStyle = theme.line;
    if (from) {
      for (const id of ids.slice(1)) {
        context.beginPath();
        context.moveTo(...from);
        context.lineTo(...this.screen(id));
        context.stroke();
      }
    }
    for (const id of [...ids].reverse()) {
      this.dot(id, id === lit.selected ? 7 : 5, id === lit.selected ? theme.accent : theme.lit);
    }
    if (this.hovered >= 0) this.dot(this.hovered, 6, theme.accent);
  }

  dot(id, radius, colour) {
    const {context} = this, [x, y] = this.screen(id);
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = this.on.theme().ground;
    context.stroke();
  }

  chooseLabels() {
    const {camera, lit} = this, dim = lit.selected >= 0 || lit.matches;
    const taken = new TakenPlaces(), measure = (text, font) => this.measure(text, font);
    const area = camera.width * camera.height;
    const first = placeLabels(this.litLabels(), camera, measure, 60, taken);
    const names = dim || camera.zoom > 4 || this.colour !== "cluster"
      ? [] : placeLabels(this.nameLabels(), camera, measure, 40, taken);
    const most = Math.round(area / AREA_PER_LABEL / (dim ? 3 : 1));
    const words = placeLabels(this.wordLabels(), camera, measure, most, taken);
    return [...words, ...names, ...first];
  }

  *litLabels() {
    for (const id of this.litIds) {
      const [x, y] = this.screen(id), weight = id === this.lit.selected ? 700 : 600;
      yield {id, text: shortened(this.model.words[id]), x, y, size: 13.5, font: fontOf(13.5, weight), kind: "lit"};
    }
  }

  *nameLabels() {
    const size = this.camera.width < 600 ? NAME - 2 : NAME;
    for (const {name, place: [px, py], colour} of this.model.clusters) {
      const [x, y] = this.camera.toScreen(px, py);
      const text = name.slice(0, 2).map(shortened).join(" · ");
      yield {text, x, y, size, font: fontOf(size, 700), centred: true, kind: "name", colour};
    }
  }

  *wordLabels() {
    const {camera, model} = this;
    let tried = 0;
    for (const id of model.order) {
      const [x, y] = this.screen(id);
      if (x < 0 || y < 0 || x > camera.width || y > camera.height) continue;
      if (tried++ > 2500) return; // there is no room left
      const font = fontOf(LABEL, 400);
      yield {id, text: shortened(model.words[id]), x, y, size: LABEL, font, kind: "word"};
    }
  }

  measure(text, font) {
    const key = font + text;
    if (!this.widths.has(key)) {
      this.context.font = font;
      this.widths.set(key, this.context.measureText(text).width);
    }
    return this.widths.get(key);
  }

  write(label) {
    const {context} = this, theme = this.on.theme(), dim = this.lit.selected >= 0 || this.lit.matches;
    context.font = label.font;
    context.textAlign = "left";
    context.lineJoin = "round";
    context.lineWidth = label.kind === "word" ? 3 : 4;
    context.strokeStyle = theme.ground;
    context.fillStyle = labelColour(label, theme, dim);
    context.strokeText(label.text, label.left, label.baseline);
    context.fillText(label.text, label.left, label.baseline);
  }

  /** Return the word closest to a point on the screen, or -1. */
  at(x, y, within = NEAR) {
    const [left, top] = this.camera.toMap(x - within, y - within);
    const [right, bottom] = this.camera.toMap(x + within, y + within);
    let best = -1, least = within;
    for (const id of this.index.inside(left, top, right, bottom)) {
      const [px, py] = this.screen(id), away = Math.hypot(px - x, py - y);
      if (away < least) [best, least] = [id, away];
    }
    return best;
  }

  hover(x, y) {
    // A label stands for its word as well as the point does.
    const label = (this.labels ?? []).find(({kind, left, width, y: middle}) =>
      kind !== "name" && x >= left && x <= left + width && Math.abs(y - middle) < 9);
    const found = label ? label.id : this.at(x, y);
    this.root.classList.toggle("pointing", found >= 0);
    if (found === this.hovered) return;
    this.hovered = found;
    this.tooltip.hidden = found < 0;
    if (found >= 0) {
      const [px, py] = this.screen(found), {counts, words} = this.model;
      const count = counts ? `${counts[found].toLocaleString("en")} times` : `rank ${found + 1}`;
      this.tooltip.replaceChildren(element("bdi", {}, words[found]), element("span", {}, count));
      this.tooltip.style.left = `${Math.min(px + 12, this.camera.width - 140)}px`;
      this.tooltip.style.top = `${Math.max(4, py - 40)}px`;
    }
    this.redraw();
  }

  key(event) {
    const step = 60, {width, height} = this.camera;
    const actions = {
      ArrowLeft: () => this.camera.pan(step, 0), ArrowRight: () => this.camera.pan(-step, 0),
      ArrowUp: () => this.camera.pan(0, step), ArrowDown: () => this.camera.pan(0, -step),
      "+": () => this.camera.zoomAt(width / 2, height / 2, 1.4),
      "=": () => this.camera.zoomAt(width / 2, height / 2, 1.4),
      "-": () => this.camera.zoomAt(width / 2, height / 2, 1 / 1.4),
      0: () => this.camera.reset(), Escape: () => this.on.select(-1),
      Enter: () => this.on.select(this.at(width / 2, height / 2, Math.max(width, height))),
    };
    if (!(event.key in actions) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    actions[event.key]();
    this.moved();
  }

  moved() {
    this.redraw();
    this.on.view();
  }

  zoom(factor) {
    const goal = new Camera(this.model.places);
    goal.resize(this.camera.width, this.camera.height);
    goal.view = this.camera.view;
    goal.zoomAt(goal.width / 2, goal.height / 2, factor);
    this.glide(goal.view);
  }

  reset() {
    const goal = new Camera(this.model.places);
    this.glide(goal.view);
  }

  /** Move to some words, the first of which matters most; the farthest third may stay outside. */
  reveal(ids) {
    const known = ids.filter(id => id < this.model.mapped);
    if (!known.length) return;
    const places = known.map(id => [this.model.places[2 * id], this.model.places[2 * id + 1]]);
    const away = ([x, y]) => Math.hypot(x - places[0][0], y - places[0][1]);
    places.sort((one, other) => away(one) - away(other));
    const goal = this.camera.viewOf(places.slice(0, Math.ceil((places.length * 2) / 3)));
    const isSeen = known.every(id => this.isComfortablySeen(id));
    if (!isSeen || goal.zoom > 2 * this.camera.zoom) this.glide(goal);
  }

  isComfortablySeen(id) {
    const [x, y] = this.screen(id), {width, height} = this.camera;
    return x > 0.04 * width && x < 0.96 * width && y > 0.04 * height && y < 0.96 * height;
  }

  glide(goal) {
    const start = this.camera.view, began = performance.now(), length = STILL.matches ? 0 : 350;
    const number = (this.glides = (this.glides ?? 0) + 1);
    const step = now => {
      if (number !== this.glides) return; // another movement has begun
      const t = length ? Math.min(1, (now - began) / length) : 1, ease = t * t * (3 - 2 * t);
      this.camera.view = {
        x: start.x + (goal.x - start.x) * ease, y: start.y + (goal.y - start.y) * ease,
        zoom: start.zoom * (goal.zoom / start.zoom) ** ease,
      };
      this.draw();
      t < 1 ? requestAnimationFrame(step) : this.on.view();
    };
    step(began);
  }
}

function fontOf(size, weight) {
  return `${weight} ${size}px system-ui, sans-serif`;
}

function labelColour(label, theme, dim) {
  if (label.kind === "name") return theme.names[label.colour];
  return label.kind === "word" && dim ? theme.faint : theme.ink;
}

/** Return a word without the end that would hide others. */
function shortened(text) {
  const letters = [...text];
  return letters.length > LONGEST_LABEL ? `${letters.slice(0, LONGEST_LABEL - 1).join("")}…` : text;
}

/** Return a colour between two of red, green and blue from 0 to 255. */
function mixed(from, to, share) {
  return from.map((value, i) => Math.round(value + (to[i] - value) * share));
}

/** A grid over the map, to look up the points around a place. */
function indexOfPlaces(places, cells = 128) {
  const grid = new Map(), cell = value => Math.max(0, Math.min(cells - 1, Math.floor(value * cells)));
  for (let id = 0; id < places.length / 2; id++) {
    const key = cell(places[2 * id + 1]) * cells + cell(places[2 * id]);
    if (!grid.has(key)) grid.set(key, []);
    grid.get(key).push(id);
  }
  return {
    *inside(left, top, right, bottom) {
      for (let row = cell(top); row <= cell(bottom); row++) {
        for (let column = cell(left); column <= cell(right); column++) {
          yield* grid.get(row * cells + column) ?? [];
        }
      }
    },
  };
}
