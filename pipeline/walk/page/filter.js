"use strict";
// A filter to play with: one more step beside the network's, whose weights a person sets.

const FILTER_SIDE = 7;
const OWN_TILE = 182; // pixels, as large as the weights beside it
const NEXT_WEIGHT = new Map([[0, 1], [1, -1]]); // of a click; from any other weight to 0

// Rows of weights; smaller ones stand in the middle of zeros. The curve is that of Deshpande's tutorial, with 1 for its 30.
const PRESETS = {
  "curve detector": ["0 0 0 0 0 1 0", "0 0 0 0 1 0 0", "0 0 0 1 0 0 0", "0 0 0 1 0 0 0", "0 0 0 1 0 0 0", "0 0 0 1 0 0 0", "0 0 0 0 0 0 0"],
  "edge, dark to light": ["-1 0 1", "-2 0 2", "-1 0 1"],
  "edge, top to bottom": ["-1 -2 -1", "0 0 0", "1 2 1"],
  outline: ["-1 -1 -1", "-1 8 -1", "-1 -1 -1"],
  blur: ["1 1 1", "1 1 1", "1 1 1"],
};

/** Returns the step of a filter without bias that sees all channels alike, and leaves the image's size as it is. */
function ownFilter(index) {
  const { side, channels } = WALK;
  const weight = { data: new Float32Array(channels * FILTER_SIDE ** 2), shape: [1, channels, FILTER_SIDE, FILTER_SIDE] };
  const border = (FILTER_SIDE - 1) / 2;
  const options = { stride: [1, 1], padding: [border, border], dilation: [1, 1], groups: 1, tensors: { weight } };
  return { index, name: "own filter", label: "convolution 7×7", op: "conv", inputs: [0], shape: [1, side, side], flat: false, ...options };
}

/** Returns the weights of a preset, row by row. */
function presetWeights(name) {
  const rows = PRESETS[name].map((row) => row.split(" ").map(Number));
  const before = (FILTER_SIDE - rows.length) / 2;
  return Array.from({ length: FILTER_SIDE ** 2 }, (_, at) => {
    const [row, column] = [Math.floor(at / FILTER_SIDE) - before, (at % FILTER_SIDE) - before];
    return rows[row]?.[column] ?? 0;
  });
}

/** Returns the panel in which a filter is set. onChange(): called when it has been. */
function makeFilterEditor(step, onChange) {
  const cells = Array.from({ length: FILTER_SIDE ** 2 }, () => make("button", { type: "button" }));
  let weights = [];
  const set = (next) => {
    weights = next;
    const { data } = step.tensors.weight;
    for (let at = 0; at < data.length; at++) data[at] = weights[at % weights.length] / WALK.channels;
    paintFilter(cells, weights);
  };
  cells.forEach((cell, at) => {
    cell.addEventListener("click", () => {
      set(weights.with(at, NEXT_WEIGHT.get(weights[at]) ?? 0));
      onChange();
    });
  });
  const presets = make("select", { "aria-label": "Filter to begin with" }, ...Object.keys(PRESETS).map((name) => make("option", {}, name)));
  presets.addEventListener("change", () => {
    set(presetWeights(presets.value));
    onChange();
  });
  set(presetWeights(presets.value));
  const grid = make("div", { class: "cells", style: `--columns: ${FILTER_SIDE}` }, ...cells);
  const editor = make("div", { class: "editor" }, presets, grid, note("Click a weight: 0, 1, −1."));
  editor.repaint = () => paintFilter(cells, weights);
  return editor;
}

function paintFilter(cells, weights) {
  const limit = limitOf(weights);
  cells.forEach((cell, at) => {
    cell.textContent = shortNumeral(weights[at]);
    cell.style.background = cssColour(weights[at], limit);
    cell.style.color = inkOn(weights[at], limit);
    const [row, column] = [Math.floor(at / FILTER_SIDE), at % FILTER_SIDE];
    cell.setAttribute("aria-label", `weight in row ${row}, column ${column}: ${weights[at]}`);
  });
}

/** Returns the section of the filter: its weights beside the map that they make of the image. */
function makeFilterSection(step, view, editor) {
  const title = make("span", { class: "name" }, "A filter of your own");
  const summary = make("summary", {}, title, make("span", { class: "kind" }, "play with a curve detector"));
  const map = make("figure", {}, make("figcaption", {}, "its map of the image"), view.element);
  return make("details", { class: "own" }, summary, make("div", { class: "own-body" }, editor, map));
}
