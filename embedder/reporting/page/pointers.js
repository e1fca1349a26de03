// Mouse, touch and wheel on the map. The page can always be scrolled past it: the wheel zooms only
// with Ctrl or ⌘ (as a pinch on a touchpad does), and one finger scrolls up and down.

const DRAG = 4; // px that a pointer moves before it drags

function listenToPointers(map) {
  const {canvas, root} = map, down = new Map();
  let dragged = false, hint;

  const local = event => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const say = () => {
    root.classList.add("hinting");
    clearTimeout(hint);
    hint = setTimeout(() => root.classList.remove("hinting"), 1200);
  };

  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return say();
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    map.camera.zoomAt(...local(event), Math.exp(-event.deltaY * lines * 0.004));
    map.moved();
  }, {passive: false});

  canvas.addEventListener("pointerdown", event => {
    if (event.button > 0) return;
    down.set(event.pointerId, local(event));
    dragged = down.size > 1;
    map.glides = (map.glides ?? 0) + 1; // a movement under way stops
  });

  canvas.addEventListener("pointermove", event => {
    const now = local(event), before = down.get(event.pointerId);
    if (!before) return event.pointerType === "mouse" ? map.hover(...now) : undefined;
    if (!dragged && Math.hypot(now[0] - before[0], now[1] - before[1]) < DRAG) return;
    if (!dragged) {
      dragged = true;
      canvas.setPointerCapture(event.pointerId);
      root.classList.add("dragging");
      map.hover(-99, -99);
    }
    if (down.size === 2) pinch(map, [...down.keys()].map(id => down.get(id)), event, down, now);
    else map.camera.pan(now[0] - before[0], now[1] - before[1]);
    down.set(event.pointerId, now);
    map.moved();
  });

  const end = event => {
    const wasDown = down.delete(event.pointerId);
    if (down.size) return;
    root.classList.remove("dragging");
    if (event.type !== "pointerup" || !wasDown || dragged) return;
    map.hovered = -1;
    map.hover(...local(event));
    const found = map.hovered;
    if (event.pointerType !== "mouse") map.hover(-99, -99);
    map.on.select(found >= 0 ? found : -1);
  };
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, end);
  canvas.addEventListener("pointerleave", () => map.hover(-99, -99));
  canvas.addEventListener("dblclick", event => {
    map.camera.zoomAt(...local(event), 2);
    map.moved();
  });
}

/** Zoom and pan by two fingers, of which one has moved. */
function pinch(map, [first, second], event, down, now) {
  const moved = down.get(event.pointerId), other = moved === first ? second : first;
  const distance = point => Math.max(20, Math.hypot(point[0] - other[0], point[1] - other[1]));
  const middle = point => [(point[0] + other[0]) / 2, (point[1] + other[1]) / 2];
  map.camera.zoomAt(...middle(moved), distance(now) / distance(moved));
  map.camera.pan(middle(now)[0] - middle(moved)[0], middle(now)[1] - middle(moved)[1]);
}
