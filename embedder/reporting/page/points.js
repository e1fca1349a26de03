// Thousands of points: by the graphics card with WebGL 2, or pixel by pixel where there is none.

const VERTEX = `#version 300 es
in vec2 place; in vec4 colour; in float size;
uniform vec2 centre; uniform vec2 scale; uniform float enlarge; uniform float opacity;
out vec4 shade; out float diameter;
void main() {
  gl_Position = vec4((place - centre) * scale, 0.0, 1.0);
  diameter = size * enlarge;
  gl_PointSize = diameter + 1.0;
  shade = vec4(colour.rgb, colour.a * opacity);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 shade; in float diameter;
out vec4 pixel;
void main() {
  float away = length(gl_PointCoord - 0.5) * (diameter + 1.0);
  float inside = clamp(diameter * 0.5 - away + 0.5, 0.0, 1.0);
  float alpha = shade.a * inside;
  pixel = vec4(shade.rgb * alpha, alpha);
}`;

/** Return a drawer of points on a canvas: `load(places, colours, sizes)` and `draw(camera, …)`. */
function pointDrawer(canvas) {
  if (!hasGraphicsCard()) return new PixelPoints(canvas.getContext("2d"));
  // The buffer is preserved for printing and for pictures, which read it later.
  return new GlPoints(canvas.getContext("webgl2", {antialias: false, preserveDrawingBuffer: true}));
}

/** Whether WebGL 2 is there and not computed by the processor, which is slower than pixels are. */
function hasGraphicsCard() {
  const gl = document.createElement("canvas").getContext("webgl2");
  const names = gl?.getExtension("WEBGL_debug_renderer_info");
  const renderer = names ? gl.getParameter(names.UNMASKED_RENDERER_WEBGL) : "";
  gl?.getExtension("WEBGL_lose_context")?.loseContext();
  return Boolean(gl) && !/swiftshader|llvmpipe|softpipe|basic render|software/i.test(renderer);
}

class GlPoints {
  constructor(gl) {
    this.gl = gl;
    this.canvas = gl.canvas;
    this.prepare();
    this.canvas.addEventListener("webglcontextlost", event => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => {
      this.prepare();
      if (this.loaded) this.load(...this.loaded);
      this.onrestore?.();
    });
  }

  prepare() {
    const {gl} = this;
    this.program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.program, shader);
    }
    gl.linkProgram(this.program);
    gl.useProgram(this.program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.buffers = ["place", "colour", "size"].map(() => gl.createBuffer());
  }

  /** @param places x, y; @param colours red, green, blue, alpha from 0 to 255; @param sizes px */
  load(places, colours, sizes) {
    const {gl} = this;
    this.loaded = [places, colours, sizes];
    const layouts = [["place", 2, gl.FLOAT], ["colour", 4, gl.UNSIGNED_BYTE], ["size", 1, gl.FLOAT]];
    layouts.forEach(([name, length, kind], i) => {
      const at = gl.getAttribLocation(this.program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[i]);
      gl.bufferData(gl.ARRAY_BUFFER, this.loaded[i], gl.STATIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, length, kind, kind === gl.UNSIGNED_BYTE, 0, 0);
    });
  }

  draw(camera, ratio, enlarge, opacity) {
    const {gl, program} = this;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const {scales: [across, down], width, height} = camera;
    gl.uniform2f(gl.getUniformLocation(program, "centre"), camera.x, camera.y);
    gl.uniform2f(
      gl.getUniformLocation(program, "scale"), (2 * across) / width, (-2 * down) / height);
    gl.uniform1f(gl.getUniformLocation(program, "enlarge"), enlarge * ratio);
    gl.uniform1f(gl.getUniformLocation(program, "opacity"), opacity);
    gl.drawArrays(gl.POINTS, 0, this.loaded[2].length);
  }
}

class PixelPoints {
  constructor(context) {
    this.context = context;
    this.discs = new Map();
  }

  load(places, colours, sizes) {
    this.loaded = [places, colours, sizes];
  }

  /** Blend discs into the pixels of the ground, which is red, green and blue from 0 to 255. */
  draw(camera, ratio, enlarge, opacity, ground) {
    const {context} = this, {width, height} = context.canvas;
    if (this.image?.width !== width || this.image.height !== height) {
      this.image = context.createImageData(width, height);
    }
    const [places, colours, sizes] = this.loaded, {data} = this.image;
    new Uint32Array(data.buffer).fill((255 << 24) | (ground[2] << 16) | (ground[1] << 8) | ground[0]);
    const [across, down] = camera.scales.map(scale => scale * ratio);
    const left = width / 2 - camera.x * across, top = height / 2 - camera.y * down;
    for (let i = 0; i < sizes.length; i++) {
      const {side, cover} = this.disc(Math.round(2 * sizes[i] * enlarge * ratio) / 2);
      const column = Math.round(places[2 * i] * across + left - side / 2);
      const row = Math.round(places[2 * i + 1] * down + top - side / 2);
      if (column < 0 || row < 0 || column + side > width || row + side > height) continue;
      const red = colours[4 * i], green = colours[4 * i + 1], blue = colours[4 * i + 2];
      const strength = (colours[4 * i + 3] / 255) * opacity;
      for (let y = 0, k = 0; y < side; y++) {
        for (let x = 0, at = 4 * ((row + y) * width + column); x < side; x++, k++, at += 4) {
          const share = cover[k] * strength;
          data[at] += (red - data[at]) * share;
          data[at + 1] += (green - data[at + 1]) * share;
          data[at + 2] += (blue - data[at + 2]) * share;
        }
      }
    }
    context.putImageData(this.image, 0, 0);
  }

  /** Return how much of each pixel of a square a disc covers. */
  disc(diameter) {
    if (!this.discs.has(diameter)) {
      const side = Math.ceil(diameter) + 1, middle = (side - 1) / 2;
      const cover = new Float32Array(side * side).map((_, k) => {
        const away = Math.hypot((k % side) - middle, Math.floor(k / side) - middle);
        return Math.min(1, Math.max(0, diameter / 2 - away + 0.5));
      });
      this.discs.set(diameter, {side, cover});
    }
    return this.discs.get(diameter);
  }
}
