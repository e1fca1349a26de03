// The panel beside the map: a word and its neighbours, analogies, clusters, differences.

const NEIGHBORS = 20, MOST_NEIGHBORS = 100, WORDS_REMEMBERED = 12;

class Panel {
  /** @param on {choose(word), lightCluster(number), analogy(words)} */
  constructor(models, shown, on) {
    Object.assign(this, {models, shown, on, history: [], count: NEIGHBORS});
    this.card = document.getElementById("card");
    this.past = document.getElementById("history");
    this.answers = document.getElementById("answers");
    this.fields = [...document.querySelectorAll("#analogies input")];
    this.fields.forEach(field => field.addEventListener("input", () => this.solve()));
    this.welcome();
    this.showDifferences();
  }

  /** A word as a button that selects it. */
  button(text, ...more) {
    const made = element("button", {type: "button", className: "pick"}, word(text), ...more);
    made.addEventListener("click", () => this.on.choose(text));
    return made;
  }

  welcome() {
    const examples = this.shown.examples.filter(text => this.models.some(m => m.ids.has(text)))
      .map(text => element("li", {}, this.button(text)));
    this.card.replaceChildren(
      element("p", {className: "quiet"},
        "Search for a word, or click one on the map, to see its nearest words. For example:"),
      element("ul", {className: "chips"}, ...examples));
  }

  /** Show a word, which one of the models may lack; returns its neighbours in the first that has it. */
  show(text) {
    if (text !== this.current) this.count = NEIGHBORS;
    this.current = text;
    if (!text) return this.welcome();
    this.remember(text);
    const columns = this.models.map(model => {
      const id = model.ids.get(text);
      return id === undefined ? null : model.neighbors(id, this.count);
    });
    const heading = element("h2", {className: "title", tabIndex: -1}, word(text));
    const table = this.models.length > 1 ? this.sideBySide(columns) : [this.list(0, columns[0])];
    const more = element("button", {type: "button", className: "plain"}, "Show more");
    more.addEventListener("click", () => {
      this.count = Math.min(MOST_NEIGHBORS, this.count + NEIGHBORS);
      this.show(text);
    });
    this.card.replaceChildren(
      heading, ...this.models.map((model, i) => this.facts(model, text, i)), ...table,
      ...(this.count < MOST_NEIGHBORS ? [more] : []));
    return columns;
  }

  facts(model, text) {
    const id = model.ids.get(text), several = this.models.length > 1;
    const name = several ? `${model.name}: ` : "";
    if (id === undefined) return element("p", {className: "quiet"}, `${name}not in the vocabulary`);
    const facts = [`${name}rank ${thousands(id + 1)}`];
    if (model.counts) facts.push(`${thousands(model.counts[id])} times`);
    if (model.tokens) {
      const rate = (1e6 * model.counts[id]) / model.tokens;
      facts.push(`${rate < 10 ? rate.toPrecision(2) : thousands(Math.round(rate))} per million`);
    }
    const line = element("p", {className: "quiet"}, facts.join(" · "));
    if (id < model.mapped && !several) {
      const number = model.clusterOf[id], {name, colour} = model.clusters[number];
      line.append(" · ", element("span", {className: `dot colour-${colour}`}), " ", ...words(name));
    } else if (id >= model.mapped) line.append(" · not on the map");
    return line;
  }

  sideBySide(columns) {
    const texts = columns.map((found, i) => found?.map(({id}) => this.models[i].words[id]) ?? []);
    const shared = new Set(texts[0].filter(text => texts[1].includes(text)));
    const both = columns.every(Boolean);
    return [
      element("p", {className: "quiet"}, both
        ? `${shared.size} of ${this.count} nearest words are the same (marked ●).`
        : "Only one of the models knows this word."),
      element("div", {className: "columns"}, ...this.models.map((model, i) => element("div", {},
        element("h3", {}, model.name),
        columns[i] ? this.list(i, columns[i], shared) : element("p", {className: "quiet"}, "–"))))];
  }

  /** A list of words with bars as long as their similarities. */
  list(number, found, shared = new Set()) {
    const model = this.models[number];
    return element("ol", {className: "neighbors"}, ...found.map(({id, similarity}) => {
      const text = model.words[id], width = `${100 * Math.max(0, Math.min(1, similarity))}%`;
      const mark = shared.has(text)
        ? element("span", {className: "shared", title: "in both models"}, "●") : null;
      return element("li", {}, this.button(text, mark,
        element("span", {className: "similarity"}, similarityText(similarity)),
        element("span", {className: "bar", "aria-hidden": "true", style: {width}})));
    }));
  }

  remember(text) {
    this.history = [text, ...this.history.filter(other => other !== text)].slice(0, WORDS_REMEMBERED);
    this.past.hidden = this.history.length < 2;
    this.past.querySelector("ul").replaceChildren(
      ...this.history.slice(1).map(other => element("li", {}, this.button(other))));
  }

  /** Answer "a is to b as c is to …" for what stands in the three fields. */
  solve() {
    const typed = this.fields.map(field => field.value.trim());
    this.on.analogy(typed);
    if (typed.some(text => !text)) return this.answers.replaceChildren();
    this.answers.replaceChildren(element("div", {className: this.models.length > 1 ? "columns" : ""},
      ...this.models.map((model, i) => {
        const ids = typed.map(text => model.find(text)), missing = typed[ids.indexOf(-1)];
        const heading = this.models.length > 1
          ? element("h2", {className: "small"}, model.name) : null;
        const answer = missing !== undefined
          ? element("p", {className: "quiet"}, `“${missing}” is not in the vocabulary.`)
          : this.list(i, model.analogy(...ids, 10));
        return element("div", {}, heading, answer);
      })));
  }

  showClusters(model) {
    const rows = model.clusters.map(({name, colour, size}, number) => {
      const made = element("button", {type: "button", className: "pick"},
        element("span", {className: `dot colour-${colour}`}),
        element("span", {}, ...words(name)),
        element("span", {className: "similarity"}, several(size, "word")));
      made.addEventListener("click", () => this.on.lightCluster(number));
      return element("li", {}, made);
    });
    document.getElementById("clusters").replaceChildren(
      element("p", {className: "quiet"}, "Groups of near words, called after their most central ones."),
      element("ul", {className: "neighbors"}, ...rows));
  }

  showDifferences() {
    const list = document.getElementById("changed");
    const known = this.shown.differences.filter(({word: text}) =>
      this.models.every(model => model.ids.has(text)));
    list?.replaceChildren(...known.map(({word: text, overlap}) => element("li", {}, this.button(
      text, element("span", {className: "similarity"}, `${Math.round(100 * overlap)} %`)))));
  }
}
