// Saving the drawing as a file that looks the same without the page and its style sheet.

import { svg } from "./dom.js";

const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "font-size", "font-family", "font-weight", "text-anchor", "opacity"];
const MARGIN = 12;

export function saveGraph(canvas, label) {
  save(asSvg(canvas.content, canvas.size()), "image/svg+xml", `${label.replace(/[^\p{L}\p{N} ._-]/gu, "_")}.svg`);
}

function asSvg(content, { width, height }) {
  const [wide, high] = [width + 2 * MARGIN, height + 2 * MARGIN];
  const copies = [...content.children].map((child) => {
    const copy = child.cloneNode(true);
    const copied = [copy, ...copy.querySelectorAll("*")];
    for (const [index, original] of [child, ...child.querySelectorAll("*")].entries()) fix(original, copied[index]);
    for (const toggle of copy.querySelectorAll(".toggle, .reach")) toggle.remove();
    return copy;
  });
  const paper = svg("rect", { x: -MARGIN, y: -MARGIN, width: wide, height: high, fill: getComputedStyle(content.closest("section")).backgroundColor });
  const root = svg("svg", { viewBox: `${-MARGIN} ${-MARGIN} ${wide} ${high}`, width: wide, height: high }, paper, ...copies);
  return new XMLSerializer().serializeToString(root);
}

function fix(original, copy) {
  const style = getComputedStyle(original);
  for (const name of KEPT) copy.setAttribute(name, style.getPropertyValue(name));
  for (const name of ["class", "tabindex", "role", "style", "aria-label", "aria-selected", "aria-expanded"]) copy.removeAttribute(name);
}

function save(text, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
