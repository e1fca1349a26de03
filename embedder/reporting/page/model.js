// The words of one model and their vectors: search, neighbours, analogies.

/** Decode base64 into a typed array; the data are little-endian, as all browsers' machines are. */
function decode(text, kind) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return new kind(bytes.buffer);
}

/** Return text without case and accents, as search compares it: "Café" is found by "cafe". */
function folded(text) {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
}

class Model {
  /**
   * @param {object} data what embedder.reporting.explorer wrote: words (most frequent first),
   *   counts or null, int8 codes of unit vectors with a scale per dimension, and the map.
   */
  constructor(data) {
    Object.assign(this, {name: data.name, words: data.words, counts: data.counts});
    Object.assign(this, {tokens: data.tokens, total: data.total, about: data.map.about});
    this.dimension = data.scales.length;
    this.scales = Float32Array.from(data.scales);
    this.codes = decode(data.codes, Int8Array);
    this.ids = new Map(data.words.map((word, id) => [word, id]));
    this.mapped = data.map.count;
    this.clusters = data.map.clusters;
    this.clusterOf = decode(data.map.cluster_of, Uint8Array);
    this.order = decode(data.map.order, Uint32Array);
    const places = decode(data.map.places, Uint16Array);
    this.places = Float32Array.from(places, value => value / 65535);
  }

  /** The words as search compares them; computed once, when the first letter is typed. */
  get searchable() {
    return (this._searchable ??= this.words.map(folded));
  }

  /** One over the length of each decoded row, which rounding moved away from 1. */
  get inverseLengths() {
    if (this._inverse) return this._inverse;
    const {dimension, codes, scales} = this;
    this._inverse = new Float32Array(this.words.length);
    for (let row = 0, at = 0; row < this._inverse.length; row++) {
      let squares = 0;
      for (let d = 0; d < dimension; d++, at++) squares += (codes[at] * scales[d]) ** 2;
      this._inverse[row] = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    }
    return this._inverse;
  }

  /**
   * Find the words that contain a text: those equal to it first, then those that begin with it,
   * then the others; each by frequency.
   * @returns {number[]} all of their ids
   */
  search(text) {
    const wanted = folded(text.trim());
    if (!wanted) return [];
    const equal = [], begin = [], contain = [];
    this.searchable.forEach((word, id) => {
      const at = word.indexOf(wanted);
      if (at < 0) return;
      (at > 0 ? contain : word.length === wanted.length ? equal : begin).push(id);
    });
    return [...equal, ...begin, ...contain];
  }

  /** Return the id of a word as it was typed: exactly, or but for case and accents; or -1. */
  find(text) {
    const exact = this.ids.get(text.trim());
    if (exact !== undefined) return exact;
    const wanted = folded(text.trim());
    return wanted ? this.searchable.indexOf(wanted) : -1;
  }

  /** Return a word's unit vector. */
  unit(id) {
    const {dimension, codes, scales} = this, inverse = this.inverseLengths[id];
    return Float32Array.from(scales, (scale, d) => codes[id * dimension + d] * scale * inverse);
  }

  /** Return the `count` words with the largest cosine to a vector, best first. */
  nearest(vector, count, excluded) {
    const {dimension, codes, scales, inverseLengths} = this;
    const length = Math.hypot(...vector) || 1;
    const query = vector.map((value, d) => (value * scales[d]) / length);
    const best = [];
    for (let id = 0, at = 0; id < this.words.length; id++) {
      let similarity = 0;
      for (let d = 0; d < dimension; d++, at++) similarity += codes[at] * query[d];
      similarity *= inverseLengths[id];
      const full = best.length === count;
      if ((full && similarity <= best[count - 1].similarity) || excluded.has(id)) continue;
      let place = full ? count - 1 : best.length;
      while (place > 0 && best[place - 1].similarity < similarity) place--;
      best.splice(place, 0, {id, similarity});
      if (full) best.pop();
    }
    return best;
  }

  neighbors(id, count) {
    return this.nearest(this.unit(id), count, new Set([id]));
  }

  /** Complete "a is to b as c is to …" by 3CosAdd (Mikolov et al. 2013). */
  analogy(a, b, c, count) {
    const [from, to, start] = [a, b, c].map(id => this.unit(id));
    return this.nearest(start.map((x, d) => x + to[d] - from[d]), count, new Set([a, b, c]));
  }
}
