// Choosing members of the graph: those that have not completed, those that a search finds, and those that run.

const DONE = ["completed", "skipped"];

// Return a model without completed members. The selected member stays, and so do the groups around it.
export function hideCompleted(model, selected) {
  const kept = new Set([model.root.id]);
  for (let member = model.members.get(selected); member; member = model.members.get(member.parent)) kept.add(member.id);
  const isDone = ({ id, kind, state, counts }) => {
    if (kept.has(id)) return false;
    if (kind === "job") return DONE.includes(state);
    const states = Object.keys(counts).filter((one) => counts[one]);
    return states.length > 0 && states.every((one) => DONE.includes(one));
  };
  const members = new Map();
  const places = new Map();
  const visit = (id) => {
    const inside = (model.places.get(id) ?? []).filter((member) => !isDone(member));
    places.set(id, inside);
    for (const member of inside) {
      members.set(member.id, member);
      if (member.kind !== "job" && member.kind !== "rest") visit(member.id);
    }
  };
  members.set(model.root.id, model.root);
  visit(model.root.id);
  const edgesIn = new Map();
  for (const [parent, edges] of model.edgesIn) {
    const left = edges.filter(([from, to]) => members.has(from) && members.has(to));
    if (left.length && members.has(parent)) edgesIn.set(parent, left);
  }
  return { ...model, members, places, edgesIn };
}

// Yield the members that are drawn, each group before its members.
export function* drawn(graph, parent = graph.root.id) {
  for (const member of graph.places.get(parent) ?? []) {
    yield member;
    if (member.open) yield* drawn(graph, member.id);
  }
}

// Return the ids of drawn members whose names contain a text.
export function find(graph, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  return [...drawn(graph)].filter(({ name }) => name.toLowerCase().includes(wanted)).map(({ id }) => id);
}

// Return the running job that started last, or a folded group with running jobs.
export function findRunning(graph) {
  const started = ({ attempted_at: at }) => Date.parse(at ?? "") || 0;
  const running = [...drawn(graph)].filter((member) => !member.open && (member.kind === "job" ? member.state === "executing" : member.counts.executing));
  const [last] = running.sort((one, other) => (other.kind === "job") - (one.kind === "job") || started(other) - started(one));
  return last?.id ?? null;
}
