"use strict";
// Where things lie: windows on maps, borders, neighbours, and the index of a place.

/** Returns the window of a pooling's value on its map, cut off at the borders: ends are exclusive. */
function windowOf(step, [, inRows, inColumns], map, row, column) {
  if (!step.kernel) {
    const [, rows, columns] = step.shape; // adaptive: as many windows as values, over the whole map
    const cut = (at, count, length) => [Math.floor((at * length) / count), Math.ceil(((at + 1) * length) / count)];
    const [top, bottom] = cut(row, rows, inRows);
    const [left, right] = cut(column, columns, inColumns);
    return { map, top, bottom, left, right, whole: (bottom - top) * (right - left) };
  }
  const [y, x] = [row * step.stride[0] - step.padding[0], column * step.stride[1] - step.padding[1]];
  const [endY, endX] = [Math.min(y + step.kernel[0], inRows + step.padding[0]), Math.min(x + step.kernel[1], inColumns + step.padding[1])];
  return {
    map,
    top: Math.max(0, y),
    left: Math.max(0, x),
    bottom: Math.min(endY, inRows),
    right: Math.min(endX, inColumns),
    whole: (endY - y) * (endX - x), // pixels, padding included
  };
}

/** Returns what an average pooling divides by. */
function divisorOf(step, window) {
  return step.divisor ?? (step.padded ? window.whole : (window.bottom - window.top) * (window.right - window.left));
}

/** Returns where a value of a bordered map comes from; null: from a border of zeros. */
function beforeBorder(step, inShape, place) {
  const inside = place.map((at, axis) => at - step.before[axis]);
  const nearest = inside.map((at, axis) => Math.min(Math.max(at, 0), inShape[axis] - 1));
  return step.mode === "replicate" || inside.every((at, axis) => at === nearest[axis]) ? nearest : null;
}

/** Returns the sum of squares over the neighbouring maps, at one place. */
function squaresAround(step, input, map, row, column) {
  const first = map - Math.floor(step.neighbours / 2);
  let sum = 0;
  for (let other = Math.max(0, first); other < Math.min(step.shape[0], first + step.neighbours); other++) {
    sum += input[indexOf(step.shape, other, row, column)] ** 2;
  }
  return sum;
}

/** Returns the first of the maps that a filter sees; without groups it is 0. */
function firstMapSeen(step, map) {
  return Math.floor(map / (step.shape[0] / step.groups)) * step.tensors.weight.shape[1];
}

/** Calls work(index) for each value in a window. */
function eachIn(window, shape, work) {
  for (let row = window.top; row < window.bottom; row++) {
    for (let column = window.left; column < window.right; column++) work(indexOf(shape, window.map, row, column));
  }
}

/** Calls work(map, row, column, index) for each value. */
function eachPlace([maps, rows, columns], work) {
  let at = 0;
  for (let map = 0; map < maps; map++) {
    for (let row = 0; row < rows; row++) for (let column = 0; column < columns; column++) work(map, row, column, at++);
  }
}

function indexOf([, rows, columns], map, row, column) {
  return (map * rows + row) * columns + column;
}

function size(shape) {
  return shape.reduce((product, side) => product * side, 1);
}
