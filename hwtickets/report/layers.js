"use strict";
const table = document.querySelector("table.layers");
const body = table.tBodies[0];
const find = document.querySelector("#find");
const network = document.querySelector("#network");
const shown = document.querySelector("#shown");

function key(row, column) {
  const cell = row.cells[column];
  return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.toLowerCase();
}

function sortBy(header) {
  const column = header.cellIndex;
  const numeric = header.classList.contains("number");
  const before = header.getAttribute("aria-sort");
  const direction = before ? (before === "ascending" ? -1 : 1) : numeric && column > 0 ? -1 : 1;
  for (const other of header.parentNode.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  const rows = [...body.rows].sort((one, other) => {
    const a = key(one, column), b = key(other, column);
    return direction * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  });
  body.append(...rows);
}

function filter() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0, timeMs = 0;
  for (const row of body.rows) {
    const text = row.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word)) && (!network.value || row.dataset.network === network.value);
    row.hidden = !fits;
    count += fits;
    timeMs += fits ? Number(row.dataset.ms) : 0;
  }
  shown.value = `${count} layers, ${timeMs.toPrecision(3)} ms`;
}

for (const header of table.tHead.rows[0].cells) {
  header.querySelector("button").addEventListener("click", () => sortBy(header));
}
find.addEventListener("input", filter);
network.addEventListener("input", filter);
filter();
