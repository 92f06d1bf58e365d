"use strict";
// The network as a whole: from pixels to the values of all steps, and back from a value to what it sees.

/** Returns pixels of 0..255, rows of pixels, as the maps that the network takes: of mean 0 and standard deviation 1 over training. */
function preprocessed(pixels) {
  const { side, channels, mean, std } = WALK;
  const maps = new Float32Array(pixels.length);
  for (let at = 0; at < side * side; at++) {
    for (let channel = 0; channel < channels; channel++) {
      maps[channel * side * side + at] = (pixels[at * channels + channel] / 255 - mean[channel]) / std[channel];
    }
  }
  return maps;
}

/** Returns the value of every step for an image. */
function forward(pixels) {
  const values = [preprocessed(pixels)];
  for (const step of STEPS.slice(1)) {
    const inputs = step.inputs.map((index) => values[index]);
    const shapes = step.inputs.map((index) => STEPS[index].shape);
    values.push(OPERATIONS[step.op](step, inputs, shapes));
  }
  return values;
}

const WITHIN_ONE_PLACE = new Set(["batch_norm", "affine", "activation", "add", "concat", "local_response_norm"]);

/**
 * Returns which part of one of its inputs a part of a step's output is computed from.
 * A part is a box of rows and columns, and a range of maps; all ends are inclusive.
 */
function seenBy(step, part, which) {
  const shape = STEPS[step.inputs[which]].shape;
  const whole = { top: 0, left: 0, bottom: shape[1] - 1, right: shape[2] - 1, first: 0, last: shape[0] - 1 };
  if (step.op === "conv") return seenByConvolution(step, part, shape);
  if (step.op === "concat") {
    const before = step.inputs.slice(0, which).reduce((sum, index) => sum + STEPS[index].shape[0], 0);
    const maps = { first: Math.max(part.first - before, 0), last: Math.min(part.last - before, shape[0] - 1) };
    return maps.first <= maps.last ? { ...part, ...maps } : null;
  }
  if (step.op === "local_response_norm") {
    const reach = Math.floor(step.neighbours / 2);
    return { ...part, first: Math.max(0, part.first - reach), last: Math.min(shape[0] - 1, part.last + reach) };
  }
  if (WITHIN_ONE_PLACE.has(step.op)) return part;
  if (step.op.endsWith("pool")) return seenByPooling(step, part, shape);
  if (step.op === "pad") return seenByBorder(step, part, shape);
  if (step.op === "flatten" && part.first === part.last) {
    const place = Math.floor(part.first % (shape[1] * shape[2]));
    const [row, column] = [Math.floor(place / shape[2]), place % shape[2]];
    const map = Math.floor(part.first / (shape[1] * shape[2]));
    return { top: row, bottom: row, left: column, right: column, first: map, last: map };
  }
  return whole;
}

function seenByConvolution(step, part, [, rows, columns]) {
  const [, depth, height, width] = step.tensors.weight.shape;
  const first = firstMapSeen(step, part.first);
  return clipped(
    {
      top: part.top * step.stride[0] - step.padding[0],
      left: part.left * step.stride[1] - step.padding[1],
      bottom: part.bottom * step.stride[0] - step.padding[0] + step.dilation[0] * (height - 1),
      right: part.right * step.stride[1] - step.padding[1] + step.dilation[1] * (width - 1),
      first,
      last: firstMapSeen(step, part.last) + depth - 1,
    },
    rows,
    columns,
  );
}

function seenByPooling(step, part, shape) {
  const start = windowOf(step, shape, part.first, part.top, part.left);
  const end = windowOf(step, shape, part.last, part.bottom, part.right);
  return { ...part, top: start.top, left: start.left, bottom: end.bottom - 1, right: end.right - 1 };
}

function seenByBorder(step, part, [maps, rows, columns]) {
  const [front, top, left] = step.before;
  if (part.last - front < 0 || part.first - front >= maps) return null; // maps of zeros
  return clipped(
    {
      top: part.top - top,
      bottom: part.bottom - top,
      left: part.left - left,
      right: part.right - left,
      first: Math.max(0, part.first - front),
      last: Math.min(maps - 1, part.last - front),
    },
    rows,
    columns,
  );
}

/** Returns a part without what lies outside of the maps; of one that lies outside as a whole the nearest pixels are left. */
function clipped(part, rows, columns) {
  const within = (at, length) => Math.min(Math.max(at, 0), length - 1);
  return {
    ...part,
    top: within(part.top, rows),
    bottom: within(part.bottom, rows),
    left: within(part.left, columns),
    right: within(part.right, columns),
  };
}

/** Returns step → the part of its output that a value depends on: its receptive field on every layer, and on the image. */
function receptiveFields({ step, map, row, column }) {
  const parts = new Map([[step, { top: row, bottom: row, left: column, right: column, first: map, last: map }]]);
  for (let index = step; index > 0; index--) {
    const part = parts.get(index);
    if (!part) continue;
    STEPS[index].inputs.forEach((input, which) => {
      const seen = seenBy(STEPS[index], part, which);
      if (seen) parts.set(input, parts.has(input) ? union(parts.get(input), seen) : seen);
    });
  }
  return parts;
}

function union(one, other) {
  const least = ["top", "left", "first"].map((end) => [end, Math.min(one[end], other[end])]);
  const most = ["bottom", "right", "last"].map((end) => [end, Math.max(one[end], other[end])]);
  return Object.fromEntries([...least, ...most]);
}
