// The page of one job by itself.

import { fillValues } from "./tree.js";

await fillValues(document.querySelector(".single"));
