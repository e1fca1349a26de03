// The search field: a combobox whose list shows what was found while typing.

const MOST_SHOWN = 40;

class Search {
  /**
   * @param models all models; their words are searched, those of the first one first
   * @param on {found(text or ""), choose(word)}
   */
  constructor(models, on) {
    Object.assign(this, {models, on, active: -1, found: []});
    this.input = document.getElementById("search");
    this.list = document.getElementById("results");
    this.status = document.getElementById("found");
    this.input.addEventListener("input", () => this.show());
    this.input.addEventListener("focus", () => this.input.value && this.show());
    this.input.addEventListener("keydown", event => this.key(event));
    this.input.addEventListener("blur", () => this.close());
    // Before the field loses its focus, which would close the list.
    this.list.addEventListener("pointerdown", event => event.preventDefault());
  }

  show() {
    const text = this.input.value, [first, ...others] = this.models;
    this.found = first.search(text).map(id => first.words[id]);
    for (const model of others) {
      const more = model.search(text).map(id => model.words[id]);
      this.found.push(...more.filter(word => !first.ids.has(word)));
    }
    this.active = -1;
    this.list.replaceChildren(...this.found.slice(0, MOST_SHOWN).map((text, i) => this.option(text, i)));
    this.open(Boolean(this.found.length));
    const hidden = this.found.length - MOST_SHOWN;
    this.status.textContent = !text.trim() ? ""
      : !this.found.length ? `No word contains “${text.trim()}”.`
      : `${several(this.found.length, "word")} found${hidden > 0 ? `; ${MOST_SHOWN} are listed` : ""}.`;
    this.on.found(text.trim());
  }

  option(text, i) {
    const [model] = this.models, id = model.ids.get(text);
    const about = id === undefined ? `only in ${this.models[1].name}`
      : model.counts ? thousands(model.counts[id]) : `rank ${thousands(id + 1)}`;
    const made = element("li", {role: "option", id: `result-${i}`, "aria-selected": "false"},
      word(text), element("span", {className: "count"}, about));
    made.addEventListener("click", () => this.choose(text));
    return made;
  }

  open(isOpen) {
    this.list.hidden = !isOpen;
    this.input.setAttribute("aria-expanded", isOpen);
    this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    this.open(false);
  }

  move(step) {
    const shown = this.list.children.length;
    if (!shown) return;
    this.list.children[this.active]?.setAttribute("aria-selected", "false");
    this.active = (this.active + step + shown) % shown;
    const option = this.list.children[this.active];
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({block: "nearest"});
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  key(event) {
    if (event.key === "ArrowDown") this.move(1);
    else if (event.key === "ArrowUp") this.move(this.active < 0 ? 0 : -1);
    else if (event.key === "Enter" && this.found.length) this.choose(this.found[Math.max(0, this.active)]);
    else if (event.key === "Escape") {
      this.input.value = "";
      this.show();
    } else return;
    event.preventDefault();
  }

  choose(text) {
    this.input.value = "";
    this.show();
    this.on.choose(text);
  }
}
