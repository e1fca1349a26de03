// Downloads: the map and the charts as PNG and SVG.

const PICTURE_SCALE = 2;

function download(name, blob) {
  const link = element("a", {href: URL.createObjectURL(blob), download: name});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Return the map as it is seen, as a PNG. */
function pngOfMap(map) {
  const {width, height} = map.pointsCanvas;
  const canvas = element("canvas", {width, height}), context = canvas.getContext("2d");
  context.fillStyle = map.on.theme().ground;
  context.fillRect(0, 0, width, height);
  context.drawImage(map.pointsCanvas, 0, 0);
  context.drawImage(map.canvas, 0, 0);
  return new Promise(resolve => canvas.toBlob(resolve));
}

/** Return the map as it is seen, as the text of an SVG: a dot is a line of length 0. */
function svgOfMap(map) {
  const {camera, model} = map, theme = map.on.theme(), {width, height} = camera;
  const paths = new Map();
  for (let id = model.mapped - 1; id >= 0; id--) {
    const [x, y] = map.screen(id);
    if (x < 0 || y < 0 || x > width || y > height) continue;
    const colour = theme.palette[model.clusters[model.clusterOf[id]].colour];
    const rarity = Math.round((4 * Math.log1p(id)) / Math.log1p(model.mapped)) / 4;
    const shade = map.colour === "cluster" ? colour : mixed(theme.frequent, theme.rare, rarity);
    const key = `stroke="rgb(${shade})" stroke-width="${3 + 7 * (1 - rarity)}"`;
    if (!paths.has(key)) paths.set(key, []);
    paths.get(key).push(`M${x.toFixed(1)} ${y.toFixed(1)}h0`);
  }
  const escaped = text => text.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`);
  const lit = map.litIds.map(id => {
    const [x, y] = map.screen(id), isFirst = id === map.lit.selected;
    return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${isFirst ? 7 : 5}" ` +
      `fill="${isFirst ? theme.accent : theme.lit}"/>`;
  });
  const labels = map.labels.map(label =>
    `<text x="${label.left.toFixed(1)}" y="${label.baseline.toFixed(1)}" ` +
    `font-size="${label.size}" font-weight="${label.font.split(" ")[0]}" ` +
    `fill="${labelColour(label, theme, false)}">${escaped(label.text)}</text>`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">`,
    `<rect width="100%" height="100%" fill="${theme.ground}"/>`,
    '<g fill="none" stroke-linecap="round" stroke-opacity="0.7">',
    ...[...paths].map(([key, dots]) => `<path ${key} d="${dots.join("")}"/>`), "</g>",
    ...lit,
    `<g font-family="system-ui, sans-serif" stroke="${theme.ground}" stroke-width="3" ` +
    'paint-order="stroke" stroke-linejoin="round">', ...labels, "</g></svg>",
  ].join("\n");
}
