// Elements, numbers and the fragment of the address.

/** Make an element; properties with a dash are attributes, `on…` listeners, children text or elements. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role" || name === "for") made.setAttribute(name, value);
    else if (name === "style") Object.assign(made.style, value);
    else made[name] = value;
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

/** Return a word as an element that keeps its own direction, whatever stands around it. */
function word(text) {
  return element("bdi", {className: "word"}, text);
}

/** Return words with commas between them. */
function words(texts) {
  return texts.flatMap((text, i) => [i ? ", " : "", word(text)]);
}

function thousands(number) {
  return number.toLocaleString("en");
}

/** Return a number of things, such as "1 word" and "2,000 words". */
function several(number, thing) {
  return `${thousands(number)} ${thing}${number === 1 ? "" : "s"}`;
}

function similarityText(value) {
  return value.toFixed(2).replace("-", "−");
}

/** Read "#word=sea&view=…" into an object of texts. */
function readFragment() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/** Write an object as the fragment; `push` makes it a step that the Back button takes back. */
function writeFragment(values, push) {
  const parameters = new URLSearchParams(Object.entries(values).filter(([, value]) => value));
  const fragment = `#${parameters}`;
  if (fragment === (location.hash || "#")) return;
  try {
    history[push ? "pushState" : "replaceState"](null, "", fragment);
  } catch {
    // A page in a frame of a notebook has no address of its own.
  }
}

/** Let the arrow keys move between the tabs of a list, as the ARIA pattern asks. */
function listenToTabs(list, choose) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab.dataset.tab));
    tab.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (!step) return;
      event.preventDefault();
      const next = tabs[(i + step + tabs.length) % tabs.length];
      next.focus();
      choose(next.dataset.tab);
    });
  });
}

function chooseTab(list, name) {
  for (const tab of list.querySelectorAll("[role=tab]")) {
    const chosen = tab.dataset.tab === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}
