// Places a graph beside the page, which stays at hand however long that takes.

import { place } from "./layout.js";

addEventListener("message", ({ data: { turn, root, inside, edgesIn } }) => {
  postMessage({ turn, placed: place({ inside, edgesIn }, root) });
});
