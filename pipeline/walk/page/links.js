"use strict";
// Lines from a value to the windows that it is computed from, across the page.

const SMALL = 7; // pixels, up to which a window gets one line to its middle, in place of one to each corner

/** Returns where a part of a map lies in the browser's window; null if its section is folded or the map is not shown. */
function whereIs(view, map, part) {
  if (!view.tile || map >= view.shown || view.marks.closest("details:not([open])")) return null;
  const bounds = view.marks.getBoundingClientRect();
  const { x, y, width, height } = view.box(map, part);
  return { left: bounds.left + x, top: bounds.top + y, right: bounds.left + x + width, bottom: bounds.top + y + height };
}

/** Draws lines between a value and the windows that it is computed from. maps: of the input, the first of which stands out. */
function drawLinks(views, unit, maps) {
  const svg = document.getElementById("links");
  svg.replaceChildren();
  if (!unit) return;
  const step = STEPS[unit.step];
  const spot = { top: unit.row, bottom: unit.row, left: unit.column, right: unit.column, first: unit.map, last: unit.map };
  const from = whereIs(views[unit.step], unit.map, spot);
  if (!from) return;
  const isNarrow = matchMedia("(max-width: 719px)").matches; // the image then lies above panels that lines would cross
  step.inputs.forEach((input, which) => {
    const seen = seenBy(step, spot, which);
    if (!seen || (input === 0 && isNarrow)) return;
    const linked = maps.length ? maps : [seen.first];
    linked.forEach((map, rank) => {
      const to = whereIs(views[input], map, seen);
      if (to) svg.append(...linesBetween(from, to, views[input].hasCells).map((ends) => line(ends, rank === 0)));
    });
  });
}

function linesBetween(from, to, isCell) {
  if (isCell || to.right - to.left <= SMALL) return [middleLine(from, to)];
  const corners = [["left", "top"], ["right", "top"], ["right", "bottom"], ["left", "bottom"]];
  return corners.map(([x, y]) => ({ x1: from[x], y1: from[y], x2: to[x], y2: to[y] }));
}

function middleLine(from, to) {
  return { x1: (from.left + from.right) / 2, y1: from.top, x2: (to.left + to.right) / 2, y2: (to.top + to.bottom) / 2 };
}

function line(ends, isFirst) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries(ends)) element.setAttribute(name, value);
  if (isFirst) element.setAttribute("class", "chosen");
  return element;
}
