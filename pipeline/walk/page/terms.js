"use strict";
// What a value is made of: the terms of its sum, its strongest inputs, its winner.

/** Returns a convolution's terms: for each map that the filter sees its window, weights, products and their sum. */
function termsOf(step, unit, input) {
  const { weight } = step.tensors;
  const [, depth, height, width] = weight.shape;
  const first = firstMapSeen(step, unit.map);
  return Array.from({ length: depth }, (_, part) => {
    const start = (unit.map * depth + part) * height * width;
    const filter = Array.from(weight.data.subarray(start, start + height * width));
    const window = filter.map((_, at) => {
      const row = unit.row * step.stride[0] - step.padding[0] + Math.floor(at / width) * step.dilation[0];
      const column = unit.column * step.stride[1] - step.padding[1] + (at % width) * step.dilation[1];
      const isInside = row >= 0 && column >= 0 && row < input.shape[1] && column < input.shape[2];
      return isInside ? input.values[indexOf(input.shape, first + part, row, column)] : 0;
    });
    const products = filter.map((factor, at) => factor * window[at]);
    return { map: first + part, filter, window, products, sum: products.reduce((sum, x) => sum + x, 0) };
  });
}

/** Returns the input maps that bring a value the most, the strongest first; none for steps that add up nothing. */
function strongest(unit, values, most) {
  const step = STEPS[unit.step];
  const input = { values: values[step.inputs[0]], shape: STEPS[step.inputs[0] ?? 0].shape };
  if (step.op === "conv") return largestOf(termsOf(step, unit, input), most).map(({ map }) => map);
  if (step.op !== "linear") return [];
  const start = unit.map * input.values.length;
  const terms = Array.from(input.values, (x, map) => ({ map, sum: x * step.tensors.weight.data[start + map] }));
  return largestOf(terms, most).map(({ map }) => map);
}

/** Returns the value of the layer below that a max pooling passes on; null for other steps. */
function winnerOf(unit, values) {
  const step = STEPS[unit.step];
  if (step.op !== "max_pool" && step.op !== "adaptive_max_pool") return null;
  const shape = STEPS[step.inputs[0]].shape;
  const window = windowOf(step, shape, unit.map, unit.row, unit.column);
  let best = null;
  eachIn(window, shape, (at) => {
    if (best === null || values[step.inputs[0]][at] > values[step.inputs[0]][best]) best = at;
  });
  const place = best % (shape[1] * shape[2]);
  return { step: step.inputs[0], map: unit.map, row: Math.floor(place / shape[2]), column: place % shape[2] };
}

function largestOf(terms, most) {
  return [...terms].sort((one, other) => Math.abs(other.sum) - Math.abs(one.sum)).slice(0, most);
}

/** Returns what an input of a linear layer is, across a flattening. */
function inputName(index, at) {
  const step = STEPS[index];
  if (step.op !== "flatten") return placeName({ step: index, map: at, row: 0, column: 0 });
  const [, rows, columns] = STEPS[step.inputs[0]].shape;
  const place = at % (rows * columns);
  const unit = { map: Math.floor(at / (rows * columns)), row: Math.floor(place / columns), column: place % columns };
  return placeName({ step: step.inputs[0], ...unit });
}
