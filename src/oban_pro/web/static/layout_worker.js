// A worker that computes layouts, so that the page answers its reader however long a layout takes.

import { place } from "./layout.js";

addEventListener("message", ({ data: { turn, root, inside, edgesIn } }) => {
  postMessage({ turn, placed: place({ inside, edgesIn }, root) });
});
