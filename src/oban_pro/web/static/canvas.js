// The part of the graph that the reader sees. Dragging, wheel, pinch, keys and the minimap change it.

import Panzoom from "./vendor/panzoom-4.6.2/panzoom.es.js";
import { svg } from "./dom.js";
import { TITLE } from "./sizes.js";

// A graph whose whole width fits at the scale LEGIBLE or larger is shown so. A wider graph is shown at READABLE.
const LEGIBLE = 0.8;
const READABLE = 0.85;
const MARGIN = 12;
const LOWEST = 160;
// The largest part of the window's height that the canvas takes.
const HIGHEST = 0.62;
const STEP = 80;
const MAP = { width: 170, height: 100 };
const LOW = 24;
// A pointer that has moved less, in pixels, clicks; one that has moved further drags.
const SLOP = 4;
// If the wheel has scrolled the page within this number of milliseconds, it goes on scrolling the page, even when the
// pointer is above the canvas.
const ROLLING = 400;

// Make a canvas in `element`. It calls `dragged` when the reader moves the graph.
export function makeCanvas(element, minimap, { dragged }) {
  const content = svg("g", { class: "viewport" });
  const surface = svg("svg", { width: "100%", height: 0, role: "tree", "aria-label": "Graph of the workflow, left to right" }, content);
  element.replaceChildren(surface);
  const sight = svg("rect", { class: "sight" });
  const zoom = Panzoom(content, { canvas: true, cursor: "grab", handleStartEvent: () => {}, maxScale: 3, minScale: 0.05, touchAction: "pan-y" });
  let [width, height] = [0, 0];
  let boxes = new Map();
  // The canvas chooses scale and place until the reader moves the graph. `isFitted` means that he asked for all of it.
  let isMoved = false;
  let isFitted = false;

  const isFull = () => element.closest(":fullscreen") !== null;
  const room = () => ({ width: element.clientWidth, height: isFull() ? element.clientHeight : innerHeight * HIGHEST });
  const seen = () => ({ width: element.clientWidth, height: Number(surface.getAttribute("height")) });
  const fitting = () => Math.min(1, (room().width - 2 * MARGIN) / width, (room().height - 2 * MARGIN) / height);

  function chosenScale() {
    const byWidth = Math.min(1, (room().width - 2 * MARGIN) / width);
    return byWidth > LEGIBLE ? byWidth : READABLE;
  }

  const currentScale = () => (isMoved ? zoom.getScale() : isFitted ? fitting() : chosenScale());

  function setHeight(scale) {
    const most = room().height;
    surface.setAttribute("height", isFull() ? most : Math.round(Math.min(most, Math.max(LOWEST, height * scale + 2 * MARGIN))));
  }

  // Move the drawing as near to `left` and `top`, in pixels of the page, as allowed: a small drawing is centred, and a
  // large one leaves no gap at its edges.
  function moveTo(left, top, scale, options = {}) {
    const view = seen();
    const allow = (at, size, whole) => (size + 2 * MARGIN <= whole ? (whole - size) / 2 : Math.min(MARGIN, Math.max(whole - size - MARGIN, at)));
    zoom.zoom(scale, { animate: false });
    zoom.pan(allow(left, width * scale, view.width) / scale, allow(top, height * scale, view.height) / scale, { animate: false, ...options });
  }

  const place = (box) => {
    const [{ x, y }, scale] = [zoom.getPan(), zoom.getScale()];
    return { left: (box.x + x) * scale, top: (box.y + y) * scale, right: (box.x + box.width + x) * scale, bottom: (box.y + box.height + y) * scale };
  };

  const middle = () => ({ x: seen().width / 2, y: seen().height / 2 });

  // The ids of all boxes, the one nearest to the middle of the canvas first.
  function nearest() {
    const distance = (box) => {
      const { left, top, right, bottom } = place(box);
      return Math.hypot((left + right) / 2 - middle().x, (top + bottom) / 2 - middle().y);
    };
    return [...boxes.keys()].sort((one, other) => distance(boxes.get(one)) - distance(boxes.get(other)));
  }

  // Show a new layout. The box `anchor`, or else the box nearest to the middle, stays where it is on the page.
  function show(placed, anchor) {
    const next = new Map(absolute(placed));
    const kept = width ? [anchor, ...nearest()].find((id) => boxes.has(id) && next.has(id)) : undefined;
    const before = kept && place(boxes.get(kept));
    [width, height, boxes] = [placed.width, placed.height, next];
    const scale = currentScale();
    setHeight(scale);
    const at = kept && next.get(kept);
    moveTo(at ? before.left - at.x * scale : 0, at ? before.top - at.y * scale : 0, scale);
  }

  function fit() {
    [isMoved, isFitted] = [false, true];
    setHeight(fitting());
    moveTo(0, 0, fitting());
  }

  function resize() {
    if (!width) return;
    const { x, y } = zoom.getPan();
    const scale = currentScale();
    setHeight(scale);
    moveTo(x * scale, y * scale, scale);
  }

  function zoomBy(factor) {
    isMoved = true;
    const { left, top } = surface.getBoundingClientRect();
    zoom.zoomToPoint(zoom.getScale() * factor, { clientX: left + middle().x, clientY: top + middle().y });
  }

  // Bring a member into view. Return false if the graph does not draw it.
  function reveal(id) {
    const box = boxes.get(id);
    if (!box) return false;
    const [{ left, top, right, bottom }, view, scale] = [place(box), seen(), zoom.getScale()];
    // If a box is larger than the canvas, it is enough to see a part of it.
    const isSeen = (start, end, whole) => (end - start > whole ? start < whole && end > 0 : start >= 0 && end <= whole);
    if (isSeen(left, right, view.width) && isSeen(top, bottom, view.height)) return true;
    const at = (start, size, whole) => (size > whole ? MARGIN : (whole - size) / 2) - start * scale;
    moveTo(at(box.x, box.width * scale, view.width), at(box.y, box.height * scale, view.height), scale);
    return true;
  }

  function pan(right, down) {
    isMoved = true;
    const { x, y } = zoom.getPan();
    zoom.pan(x - (right * STEP) / zoom.getScale(), y - (down * STEP) / zoom.getScale(), { animate: false });
  }

  function paintMap() {
    const [view, { x, y }, scale] = [seen(), zoom.getPan(), zoom.getScale()];
    const isWhole = x >= 0 && y >= 0 && (x + width) * scale <= view.width && (y + height) * scale <= view.height;
    minimap.classList.toggle("whole", isWhole);
    for (const [name, value] of Object.entries({ x: -x, y: -y, width: view.width / scale, height: view.height / scale })) sight.setAttribute(name, value);
  }

  // The minimap has one path for each state.
  function paint(model) {
    if (!width) return;
    const byState = new Map();
    for (const [id, box] of boxes) {
      const member = model.members.get(id);
      if (member) byState.set(member.state, `${byState.get(member.state) ?? ""}M${box.x} ${box.y}h${box.width}v${box.height}h${-box.width}z`);
    }
    const scaled = Math.min(MAP.width / width, MAP.height / height, element.clientWidth / 3 / width);
    for (const [name, value] of Object.entries({ viewBox: `0 0 ${width} ${height}`, width: width * scaled, height: Math.max(LOW, height * scaled) })) minimap.setAttribute(name, value);
    minimap.replaceChildren(...[...byState].map(([state, d]) => svg("path", { class: `state-${state}`, d })), sight);
    paintMap();
  }

  function lookAt(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(minimap.getScreenCTM().inverse());
    const scale = zoom.getScale();
    isMoved = true;
    zoom.pan(middle().x / scale - point.x, middle().y / scale - point.y, { animate: false });
  }

  let rolled = 0;
  addEventListener("scroll", () => { rolled = performance.now(); }, { passive: true });
  surface.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && performance.now() - rolled < ROLLING) return;
    isMoved = true;
    dragged();
    zoom.zoomWithWheel(event);
  }, { passive: false });

  let from = null;
  let wasDragged = false;
  surface.addEventListener("pointerdown", ({ clientX, clientY }) => { [from, wasDragged] = [{ clientX, clientY }, false]; });
  addEventListener("pointermove", ({ clientX, clientY }) => {
    if (!from || wasDragged || Math.hypot(clientX - from.clientX, clientY - from.clientY) < SLOP) return;
    wasDragged = isMoved = true;
    dragged();
  });
  for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { from = null; });
  // A browser also sends a click at the end of a drag. Ignore that click.
  surface.addEventListener("click", (event) => {
    if (!wasDragged) return;
    event.stopPropagation();
    wasDragged = false;
  }, { capture: true });
  content.addEventListener("panzoomchange", paintMap);
  minimap.addEventListener("pointerdown", (event) => {
    minimap.setPointerCapture(event.pointerId);
    dragged();
    lookAt(event);
  });
  minimap.addEventListener("pointermove", (event) => { if (minimap.hasPointerCapture(event.pointerId)) lookAt(event); });

  return { content, fit, pan, paint, resize, reveal, show, zoomBy, size: () => ({ width, height }) };
}

// Yield each member's id and its box, in coordinates of the whole drawing.
export function* absolute(placed, left = 0, top = 0) {
  for (const [id, { x, y, width, height, inner }] of placed.boxes) {
    yield [id, { x: left + x, y: top + y, width, height }];
    if (inner) yield* absolute(inner, left + x, top + y + TITLE - 6);
  }
}
