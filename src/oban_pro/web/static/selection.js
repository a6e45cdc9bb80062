// Checkboxes of a table whose rows are drawn again and again. A row stays selected while the table has it. The Tab key
// stops once at all checkboxes together.

export function selection(container, changed) {
  const chosen = new Set();
  let last = null;
  const boxes = () => [...container.querySelectorAll("input[data-pick]")];

  // Mark the selected rows among those that the table has now. A row that has left the table loses its selection.
  function settle() {
    const there = boxes();
    const ids = new Set(there.map((box) => box.dataset.pick));
    for (const id of chosen) if (!ids.has(id)) chosen.delete(id);
    const stop = ids.has(last) ? last : there[0]?.dataset.pick;
    for (const box of there) {
      box.checked = chosen.has(box.dataset.pick);
      box.tabIndex = box.dataset.pick === stop ? 0 : -1;
    }
    const all = container.querySelector("input[data-all]");
    if (all) {
      all.checked = there.length > 0 && chosen.size === there.length;
      all.indeterminate = chosen.size > 0 && !all.checked;
    }
    changed(chosen);
  }

  function mark(box, isChosen) {
    if (isChosen) chosen.add(box.dataset.pick);
    else chosen.delete(box.dataset.pick);
  }

  // A click with the shift key marks all rows between the last clicked one and this one.
  container.addEventListener("click", (event) => {
    const { target, shiftKey } = event;
    if (target.matches("input[data-all]")) boxes().forEach((box) => mark(box, target.checked));
    else if (!target.matches("input[data-pick]")) return;
    else {
      const all = boxes();
      const [from, to] = [all.findIndex((box) => box.dataset.pick === last), all.indexOf(target)].sort((a, b) => a - b);
      const range = shiftKey && from >= 0 ? all.slice(from, to + 1) : [target];
      range.forEach((box) => mark(box, target.checked));
      last = target.dataset.pick;
    }
    event.stopPropagation();
    settle();
  });

  // "x" selects the row that the focus is in; the arrow keys go from box to box.
  container.addEventListener("keydown", (event) => {
    const row = event.target.closest("tr");
    const box = row?.querySelector("input[data-pick]");
    if (!box || event.defaultPrevented || event.ctrlKey || event.metaKey) return;
    if (event.key === "x") box.click();
    else if (event.target === box && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      const all = boxes();
      all[all.indexOf(box) + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  return {
    settle,
    ids: () => [...chosen],
    clear: () => { chosen.clear(); settle(); },
  };
}
