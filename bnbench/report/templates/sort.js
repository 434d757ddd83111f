// Heads of columns become buttons: ascending, descending, as it was.
"use strict";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], original = [...body.rows];
  const heads = [...table.querySelectorAll("tr.heads th")];
  if (original.length < 2) continue;
  const said = document.createElement("p");
  said.className = "unseen";
  said.setAttribute("role", "status");
  table.parentNode.after(said);
  const key = (row, i) => {
    const { textContent, dataset: { order } } = row.cells[i];
    return order === undefined ? textContent : order === "inf" ? Infinity : Number(order);
  };
  const compare = (a, b) => {
    const words = (typeof a === "string") - (typeof b === "string");
    return words || (a < b ? -1 : a > b ? 1 : 0);
  };
  for (const head of heads) {
    const i = head.cellIndex;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort");
      const next = now === null ? "ascending" : now === "ascending" ? "descending" : null;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      const rows = [...original];
      if (next) {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        rows.sort((a, b) => {
          const x = key(a, i), y = key(b, i);
          // What is empty stays at the end, whichever way the rest is sorted.
          return (x === "") - (y === "") || sign * compare(x, y);
        });
      }
      table.classList.toggle("sorted", Boolean(next));
      body.replaceChildren(...rows);
      said.textContent = next ? `Sorted by ${button.textContent}, ${next}.` : "In the original order.";
    });
  }
}
