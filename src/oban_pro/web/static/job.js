// The page of a single job.

import { fillValues } from "./tree.js";

await fillValues(document.querySelector(".single"));
