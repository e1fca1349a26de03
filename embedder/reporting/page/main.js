// What is shown: the state of the page, its theme, and the address that brings it back.

const shown = JSON.parse(document.getElementById("data").textContent);
const models = shown.models.map(data => new Model(data));
const state = {map: 0, word: "", colour: "cluster", tab: "words", analogy: []};
let theme = readTheme(), hasChosen = false;

/** Read the colours of the current theme from the style sheet. */
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const colour = name => style.getPropertyValue(`--${name}`).trim();
  const numbers = hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16));
  const indices = [...Array(shown.colours).keys()];
  const names = ["ground", "ink", "faint", "grid", "line", "accent", "lit", "main"];
  return {
    ...Object.fromEntries(names.map(name => [name, colour(name)])),
    palette: indices.map(i => numbers(colour(`colour-${i}`))),
    names: indices.map(i => colour(`name-${i}`)),
    paper: numbers(colour("ground")),
    frequent: numbers(colour("frequent")), rare: numbers(colour("rare")),
  };
}

const root = document.getElementById("map");
const wordMap = new WordMap(root, {
  theme: () => theme,
  select: id => choose(id >= 0 ? model().words[id] : "", {reveal: false}),
  view: () => saveSoon(),
});
const panel = new Panel(models, shown, {
  choose: text => choose(text),
  lightCluster: number => {
    const ids = [...model().clusterOf.keys()].filter(id => model().clusterOf[id] === number);
    choose("");
    wordMap.light({matches: ids});
    wordMap.reveal(ids.slice(0, 60));
  },
  analogy: words => {
    state.analogy = words;
    saveSoon();
  },
});
const search = new Search(models, {
  found: text => wordMap.light({matches: text ? model().search(text) : null, selected: -1}),
  choose: text => choose(text),
});
const charts = shown.charts ? new Charts(shown.charts, () => theme) : null;
const tabs = document.getElementById("tabs");

function model() {
  return models[state.map];
}

/** Select a word, or none: in the panel, on the map, and in the address. */
function choose(text, {push = true, reveal = true} = {}) {
  state.word = text;
  const columns = panel.show(text);
  if (text) showTab("words");
  lightWord(columns, reveal);
  save(push);
  const names = columns?.find(Boolean)?.slice(0, 5).map(({id}) => models.find(
    m => m.ids.has(text)).words[id]);
  document.getElementById("status").textContent = names
    ? `Nearest words of ${text}: ${names.join(", ")}.` : "";
}

function lightWord(columns, reveal) {
  const id = model().ids.get(state.word) ?? -1;
  const near = (columns?.[state.map] ?? []).map(found => found.id);
  wordMap.light({selected: id, near, matches: null});
  if (reveal && id >= 0) wordMap.reveal([id, ...near.slice(0, 10)]);
}

function showTab(name) {
  state.tab = name;
  chooseTab(tabs, name);
  if (name === "clusters") panel.showClusters(model());
}

function showMap(number) {
  state.map = number;
  wordMap.show(model());
  document.getElementById("about").textContent = model().about;
  if (state.tab === "clusters") panel.showClusters(model());
  const columns = state.word ? panel.show(state.word) : null;
  lightWord(columns, false);
}

function showColour(colour) {
  state.colour = wordMap.colour = colour;
  wordMap.paint();
  wordMap.redraw();
}

let saving;
function saveSoon() {
  clearTimeout(saving);
  saving = setTimeout(() => save(false), 250);
}

function save(push) {
  clearTimeout(saving);
  const {x, y, zoom, hasMoved} = wordMap.camera, [a, b, c] = state.analogy;
  writeFragment({
    word: state.word, map: state.map ? String(state.map) : "", a, b, c,
    colour: state.colour === "cluster" ? "" : state.colour,
    tab: state.tab === "words" ? "" : state.tab,
    view: hasMoved ? [x.toFixed(4), y.toFixed(4), zoom.toFixed(3)].join(",") : "",
  }, push);
}

/** Bring back what the address says. */
function restore() {
  const given = readFragment(), isKnown = text => models.some(m => m.ids.has(text));
  if (given.map in models) state.map = Number(given.map);
  document.querySelectorAll("[name=map]").forEach(each => {
    each.checked = Number(each.value) === state.map;
  });
  state.word = isKnown(given.word) ? given.word : "";
  showMap(state.map);
  const colour = given.colour === "frequency" ? "frequency" : "cluster";
  document.getElementById("colour").value = colour;
  showColour(colour);
  const view = (given.view ?? "").split(",").map(Number);
  if (view.length === 3 && view.every(Number.isFinite) && view[2] > 0) {
    wordMap.camera.view = {x: view[0], y: view[1], zoom: view[2]};
  }
  state.analogy = [given.a, given.b, given.c].map(text => text ?? "");
  panel.fields.forEach((field, i) => { field.value = state.analogy[i]; });
  panel.solve();
  lightWord(panel.show(state.word) ?? null, !given.view);
  showTab(document.querySelector(`[data-tab="${CSS.escape(given.tab ?? "")}"]`) ? given.tab : "words");
}

function applyTheme(name) {
  document.documentElement.dataset.theme = name;
  theme = readTheme();
  document.getElementById("theme").setAttribute("aria-pressed", isDark());
  wordMap.paint();
  wordMap.draw();
  charts?.redraw();
}

function isDark() {
  return document.documentElement.dataset.theme === "dark";
}

function listen() {
  const click = (id, action) => document.getElementById(id).addEventListener("click", action);
  click("zoom-in", () => wordMap.zoom(1.8));
  click("zoom-out", () => wordMap.zoom(1 / 1.8));
  click("reset", () => wordMap.reset());
  click("theme", () => {
    hasChosen = true;
    applyTheme(isDark() ? "light" : "dark");
  });
  click("map-png", async () => download("map.png", await pngOfMap(wordMap)));
  click("map-svg", () => download("map.svg", new Blob([svgOfMap(wordMap)], {type: "image/svg+xml"})));
  document.getElementById("colour").addEventListener("change", event => {
    showColour(event.target.value);
    saveSoon();
  });
  document.querySelectorAll("[name=map]").forEach(each => each.addEventListener("change", () => {
    showMap(Number(each.value));
    saveSoon();
  }));
  listenToTabs(tabs, name => {
    showTab(name);
    saveSoon();
  });
  window.addEventListener("popstate", restore);
  window.addEventListener("hashchange", restore);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", event => {
    if (!hasChosen) applyTheme(event.matches ? "dark" : "light");
  });
  let before;
  window.addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    applyTheme("light"); // paper is white
  });
  window.addEventListener("afterprint", () => applyTheme(before));
}

document.getElementById("theme").setAttribute("aria-pressed", isDark());
restore();
listen();
document.documentElement.dataset.ready = "true";
