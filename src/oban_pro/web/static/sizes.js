// How large the boxes of the graph are.

export const JOB = { width: 172, height: 42 };
export const FOLDED = { width: 190, height: 66 };
export const TITLE = 30;
