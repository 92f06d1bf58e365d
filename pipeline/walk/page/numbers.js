"use strict";
// Numbers as pictures: grids of cells, sums with bars, the graph of a function.

const NUMBERS_UP_TO = 7; // columns of a grid: of wider ones only the colours are shown
const MOST_TERMS = 10; // of a sum, the largest first; the others are added up

/** Returns maps as small tiles side by side, with a title. */
function mapStrip(values, [maps, rows, columns], title) {
  const side = Math.max(16, Math.max(rows, columns) * Math.max(1, Math.floor(28 / Math.max(rows, columns))));
  const tiles = Array.from({ length: Math.min(maps, FIRST_MAPS) }, (_, map) => {
    const picture = mapPicture(values.subarray(map * rows * columns, (map + 1) * rows * columns), rows, columns, limitOf(values));
    picture.style.width = `${side}px`;
    return picture;
  });
  return make("figure", { class: "strip" }, make("figcaption", {}, title), make("div", {}, ...tiles));
}

/** Returns numbers as a grid of coloured cells. */
function numberGrid(values, rows, columns, title, { limit, winner = -1 }) {
  const cells = values.map((value, at) =>
    make(
      "span",
      {
        style: `background: ${cssColour(value, limit)}; color: ${inkOn(value, limit)}`,
        class: at === winner ? "winner" : undefined,
        title: numeral(value),
      },
      columns <= NUMBERS_UP_TO ? shortNumeral(value) : "",
    ),
  );
  const grid = make("div", { class: "cells", style: `--columns: ${columns}; --rows: ${rows}` }, ...cells);
  return make("figure", { class: columns <= NUMBERS_UP_TO ? "numbers" : "numbers wide" }, make("figcaption", {}, title), grid);
}

/** Returns a sum as a list with bars: the largest terms, the others added up, the constants, the total. */
function sumOf(terms, constants, total, { chosen, choose } = {}) {
  const sorted = [...terms].sort((one, other) => Math.abs(other.value) - Math.abs(one.value));
  const shown = terms.length <= MOST_TERMS ? terms : sorted.slice(0, MOST_TERMS);
  const hidden = terms.length <= MOST_TERMS ? [] : sorted.slice(MOST_TERMS);
  const rest = hidden.length
    ? [{ name: `${hidden.length} more`, value: hidden.reduce((sum, { value }) => sum + value, 0), className: "rest" }]
    : [];
  const all = [...shown, ...rest, ...constants];
  const limit = limitOf(all.map(({ value }) => value));
  const digits = Math.min(Math.max(2 - Math.floor(Math.log10(Math.max(limit, Math.abs(total), 1e-4))), 0), 6);
  const inLine = (value) => value.toFixed(digits).replace("-", "−"); // with as many digits as all others
  const rows = all.map((term) => termRow({ ...term, text: inLine(term.value) }, limit, chosen, choose));
  return make("ul", { class: "sum" }, ...rows, make("li", { class: "total" }, make("span", {}, "sum"), make("b", {}, inLine(total))));
}

function termRow({ name, detail, value, text, key, className }, limit, chosen, choose) {
  const share = limit ? (Math.abs(value) / limit) * 50 : 0;
  const bar = `--from: ${value < 0 ? 50 - share : 50}%; --share: ${share}%; --colour: ${cssColour(Math.sign(value), 1)}`;
  const inside = [
    make("span", { title: name }, name),
    ...(detail ? [make("small", {}, detail)] : []),
    make("i", { style: bar }),
    make("b", {}, text),
  ];
  if (!choose || key === undefined) return make("li", { class: className }, ...inside);
  const button = make("button", { type: "button", "aria-pressed": key === chosen }, ...inside);
  button.addEventListener("click", () => choose(key));
  return make("li", {}, button);
}

/** Returns the graph of a function as a picture, with a point on it. */
function curve(apply, x, y) {
  const reach = Math.max(3, Math.abs(x) * 1.2);
  const xs = Array.from({ length: 81 }, (_, i) => (i / 40 - 1) * reach);
  const height = Math.max(1, ...xs.map((at) => Math.abs(apply(at))));
  const place = (at, value) => `${(100 + (at / reach) * 96).toFixed(1)},${(50 - (value / height) * 44).toFixed(1)}`;
  const [cx, cy] = place(x, y).split(",");
  const holder = make("figure", { class: "curve" });
  holder.innerHTML = `<svg viewBox="0 0 200 100" role="img" aria-label="the function"><path class="axes" d="M0 50H200M100 0V100"/>
    <polyline points="${xs.map((at) => place(at, apply(at))).join(" ")}"/><circle cx="${cx}" cy="${cy}" r="4"/></svg>`;
  return holder;
}

function formula(text) {
  return make("p", { class: "formula" }, text);
}

function note(text) {
  return make("p", { class: "note" }, text);
}
