// Long chains in the graph, as one box that can be opened. In a chain, each job depends only on the job before it.

import { push } from "./model.js";

const SHORTEST = 6;
const WORST = ["discarded", "retryable", "executing", "cancelled", "available", "scheduled", "suspended", "skipped", "completed"];

// Return the model with a box in place of each chain that is not in `opened`. The set has ids such as "chain17", for
// the chain that begins with job 17.
export function foldChains(model, opened) {
  const members = new Map(model.members);
  const places = new Map(model.places);
  const edgesIn = new Map(model.edgesIn);
  const pathEdges = new Set(model.pathEdges);
  const chainOf = new Map();
  for (const [parent, edges] of model.edgesIn) {
    const runs = findRuns(model, edges).filter((run) => run.length >= SHORTEST);
    if (!runs.length) continue;
    for (const run of runs) {
      const chain = fold(run, parent, opened);
      members.set(chain.id, chain);
      places.set(chain.id, run);
      for (const job of run) chainOf.set(job.id, chain.id);
    }
    const name = (id) => chainOf.get(id) ?? id;
    places.set(parent, [...new Set(model.places.get(parent).map(({ id }) => name(id)))].map((id) => members.get(id)));
    edgesIn.set(parent, edges.map((edge) => edge.map(name)).filter(([from, to]) => from !== to));
    for (const edge of edges) if (model.pathEdges.has(String(edge))) pathEdges.add(String(edge.map(name)));
  }
  return { ...model, members, places, edgesIn, pathEdges, chainOf };
}

// Find jobs in a row: each job but the first has one incoming edge, and each but the last has one outgoing edge.
function findRuns(model, edges) {
  const [into, from] = [new Map(), new Map()];
  for (const [up, down] of edges) {
    push(into, down, up);
    push(from, up, down);
  }
  const isJob = (id) => model.members.get(id).kind === "job";
  const next = (id) => {
    const [after, ...others] = from.get(id) ?? [];
    return after && !others.length && into.get(after).length === 1 && isJob(after) ? after : null;
  };
  const starts = [...from.keys()].filter((id) => isJob(id) && !(into.get(id)?.length === 1 && isJob(into.get(id)[0]) && next(into.get(id)[0]) === id));
  return starts.map((start) => {
    const run = [];
    for (let id = start; id !== null; id = next(id)) run.push(model.members.get(id));
    return run;
  });
}

function fold(run, parent, opened) {
  const id = `chain${run[0].id}`;
  const counts = {};
  for (const { state } of run) counts[state] = (counts[state] ?? 0) + 1;
  return {
    id, parent, kind: "chain", name: `${run[0].name} → ${run.at(-1).name}`, open: opened.has(id),
    state: WORST.find((state) => counts[state]) ?? run[0].state, counts, total: run.length, critical: run.some(({ critical }) => critical),
  };
}
