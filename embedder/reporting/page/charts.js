// Charts: Vega-Lite specifications, drawn when they come into view, in the colours of the page.

/** Return the configuration of all charts for colours of a theme. */
function chartConfig(theme) {
  const axis = {
    gridColor: theme.grid, domainColor: theme.faint, tickColor: theme.faint,
    labelColor: theme.ink, titleColor: theme.ink, titleFontWeight: 500, labelFontSize: 11.5,
  };
  return {
    background: theme.ground, axis, font: "system-ui, sans-serif", view: {stroke: null},
    legend: {labelColor: theme.ink, titleColor: theme.ink},
    style: {ink: {color: theme.ink}, guide: {color: theme.faint}},
    range: {category: [theme.main, theme.accent, theme.names[2], theme.names[5]]},
  };
}

class Charts {
  constructor(specifications, theme) {
    Object.assign(this, {specifications, theme, views: new Map()});
    this.watcher = new IntersectionObserver(entries => {
      entries.filter(entry => entry.isIntersecting).forEach(entry => this.embed(entry.target));
    }, {rootMargin: "300px"});
    document.querySelectorAll(".chart").forEach(place => this.watcher.observe(place));
    // Printing does not wait for what is drawn when it begins.
    (window.requestIdleCallback ?? setTimeout)(() => this.drawAll());
    for (const button of document.querySelectorAll("[data-chart]")) {
      button.addEventListener("click", () => this.save(button.dataset.chart, button.dataset.kind));
    }
  }

  async embed(place) {
    this.watcher.unobserve(place);
    // The interpreter of expressions, because the content security policy forbids `eval`.
    // Style sheets of its own are forbidden, too: that of the page has them.
    const options = {
      actions: false, renderer: "svg", ast: true, defaultStyle: false,
      tooltip: {disableDefaultStyle: true}, config: chartConfig(this.theme()),
    };
    const {view} = await vegaEmbed(place, this.specifications[place.id], options);
    this.views.get(place.id)?.finalize();
    this.views.set(place.id, view);
    place.classList.add("drawn");
  }

  redraw() {
    for (const name of this.views.keys()) this.embed(document.getElementById(name));
  }

  /** Draw the charts that have not come into view yet. */
  drawAll() {
    return Promise.all([...document.querySelectorAll(".chart:not(.drawn)")].map(p => this.embed(p)));
  }

  async save(name, kind) {
    if (!this.views.has(name)) await this.embed(document.getElementById(name));
    const view = this.views.get(name);
    if (kind === "svg") {
      download(`${name}.svg`, new Blob([await view.toSVG()], {type: "image/svg+xml"}));
    } else {
      const canvas = await view.toCanvas(PICTURE_SCALE);
      canvas.toBlob(blob => download(`${name}.png`, blob));
    }
  }
}
