// A view as /view.json answers it, from what matters to a test.

export function member(id, parent, more = {}) {
  return {
    id, parent, name: `name ${id}`, kind: "job", open: false, state: "available", attempted_at: null,
    inserted_at: null, settled_at: null, counts: {}, total: 0, attempt: 0, ...more,
  };
}

export function group(id, parent, more = {}) {
  return member(id, parent, { kind: "sub", open: true, ...more });
}

export function view(members, { edges = [], path = [], now = "2026-01-01T00:01:00Z" } = {}) {
  return { members: [group("1", null, { name: "root" }), ...members], edges, path, now };
}
