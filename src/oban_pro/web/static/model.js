// The model that graph and timeline draw: the members of a view by id, by group and in order, and the edges.

export function build(view) {
  const members = new Map(view.members.map((member) => [member.id, member]));
  const inside = new Map();
  const edgesIn = new Map();
  for (const member of view.members) {
    if (member.parent !== null) push(inside, member.parent, member);
  }
  for (const [from, to] of view.edges) {
    if (members.has(from) && members.has(to)) push(edgesIn, members.get(from).parent, [from, to]);
  }
  const root = view.members[0];
  const isOutermost = (member) => member === root || member.parent === root.id;
  const depth = (member) => (isOutermost(member) ? 0 : 1 + depth(members.get(member.parent)));
  const path = (member) => (isOutermost(member) ? member.name : `${path(members.get(member.parent))} / ${member.name}`);
  const order = [];
  const visit = (id) => (inside.get(id) ?? []).forEach((member) => { order.push(member); visit(member.id); });
  const inOrder = (id) => [...(inside.get(id) ?? [])].sort(byPlace);
  const places = new Map([...inside].map(([id, siblings]) => [id, [...siblings].sort(edgesIn.has(id) ? byPlace : byUrgency)]));
  for (const siblings of inside.values()) siblings.sort(byStart);
  visit(root.id);
  const pathEdges = new Set(view.path.map(String));
  return { root, members, inside, edgesIn, pathEdges, order, inOrder, places, depth, path, now: Date.parse(view.now), seen: view.seen, failures: view.failures ?? [] };
}

export function push(map, key, value) {
  if (!map.has(key)) map.set(key, []);
  map.get(key).push(value);
}

function byStart(one, other) {
  const start = (member) => (member.kind === "rest" ? Infinity : Date.parse(member.attempted_at ?? "") || 1e15);
  return start(one) - start(other) || Math.abs(one.id) - Math.abs(other.id) || 0;
}

// Sort members as they were added: the box for earlier members first, then groups, jobs, and the box for later members.
function byPlace(one, other) {
  const place = ({ id, kind }) => (kind === "rest" ? (id.startsWith("prev") ? 0 : 3) : Number(id) < 0 ? 1 : 2);
  return place(one) - place(other) || Math.abs(one.id) - Math.abs(other.id) || 0;
}

// Sort the members of a group without edges: failed and running ones first.
function byUrgency(one, other) {
  const place = ({ state, kind }) => {
    if (kind === "rest") return 3;
    return state === "discarded" || state === "retryable" ? 0 : state === "executing" ? 1 : 2;
  };
  return place(one) - place(other) || byPlace(one, other);
}
