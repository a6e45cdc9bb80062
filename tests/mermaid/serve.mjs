// Reads diagrams, one JSON object a line, and answers each with a line that says what mermaid made of it.
import { createInterface } from "node:readline";

import { JSDOM } from "jsdom";

const { window } = new JSDOM("<body></body>", { pretendToBeVisual: true });
Object.assign(globalThis, { window, document: window.document });

for (const name of ["DOMParser", "Element", "HTMLElement", "Node", "SVGElement", "XMLSerializer"]) {
  globalThis[name] = window[name];
}

// What jsdom lacks: nothing has a size, and styles have no effect.
window.SVGElement.prototype.getBBox = () => ({ x: 0, y: 0, width: 50, height: 20 });
window.SVGElement.prototype.getComputedTextLength = () => 50;
globalThis.CSSStyleSheet = class {
  cssRules = [];
  insertRule() {}
  replaceSync() {}
};

const { default: mermaid } = await import("mermaid");
mermaid.initialize({ startOnLoad: false, maxEdges: 10_000, maxTextSize: 1_000_000 });
await mermaid.parse("flowchart TD");

async function parse(text) {
  const { db } = await mermaid.mermaidAPI.getDiagramFromText(text);
  const { nodes, edges } = db.getData();

  return {
    nodes: nodes.map((node) => ({
      id: node.id,
      label: node.label,
      shape: node.shape,
      parent: node.parentId ?? null,
      group: node.isGroup,
      styles: node.cssCompiledStyles,
      link: node.link ?? null,
    })),
    edges: edges.map((edge) => [edge.start, edge.end]),
  };
}

async function render(text) {
  const { svg } = await mermaid.render("drawing", text);
  const drawn = new JSDOM(svg).window.document;
  const labels = [...drawn.querySelectorAll(".node .nodeLabel, .cluster .nodeLabel")];

  for (const br of drawn.querySelectorAll("br")) br.replaceWith("\n");

  return {
    labels: labels.map((label) => label.textContent),
    tags: [...new Set([...drawn.querySelectorAll("svg *")].map((element) => element.localName))],
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { task, text } = JSON.parse(line);
  let answer;

  try {
    answer = await (task === "render" ? render : parse)(text);
  } catch (error) {
    answer = { error: String(error) };
  }

  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
