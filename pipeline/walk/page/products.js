"use strict";
// Where nearly all of the time goes: the sums of products of convolutions and linear layers.

/** Copies what a filter sees in each place of a row of its maps, one patch after the other; outside of the maps are zeros. */
function takePatches(step, input, [, inRows, inColumns], first, row, patches) {
  const [, depth, height, width] = step.tensors.weight.shape;
  const columns = step.shape[2];
  let at = 0;
  for (let column = 0; column < columns; column++) {
    for (let map = first; map < first + depth; map++) {
      for (let i = 0; i < height; i++) {
        const y = row * step.stride[0] - step.padding[0] + i * step.dilation[0];
        const start = (map * inRows + y) * inColumns;
        for (let j = 0; j < width; j++) {
          const x = column * step.stride[1] - step.padding[1] + j * step.dilation[1];
          patches[at++] = y >= 0 && y < inRows && x >= 0 && x < inColumns ? input[start + x] : 0;
        }
      }
    }
  }
}

/**
 * Writes filter · patch + bias for each filter and each patch, both of so many numbers: filter f, patch p → output[start + f * apart + p].
 * Four filters and two patches at a time, so that each number that is read serves several products: four times as fast as one by one.
 */
function multiply(filters, patches, length, bias, output, start, apart) {
  const lastFilter = filters.length / length - 1;
  const lastPatch = patches.length / length - 1;
  for (let f = 0; f <= lastFilter; f += 4) {
    const rows = [f, f + 1, f + 2, f + 3].map((row) => Math.min(row, lastFilter)); // the last is done again where there are fewer
    const [f0, f1, f2, f3] = rows.map((row) => row * length);
    const [b0, b1, b2, b3] = rows.map((row) => (bias ? bias[row] : 0));
    const [o0, o1, o2, o3] = rows.map((row) => start + row * apart);
    for (let p = 0; p <= lastPatch; p += 2) {
      const q = Math.min(p + 1, lastPatch);
      const [left, right] = [p * length, q * length];
      let [s0, s1, s2, s3, t0, t1, t2, t3] = [b0, b1, b2, b3, b0, b1, b2, b3];
      for (let k = 0; k < length; k++) {
        const x = patches[left + k];
        const y = patches[right + k];
        s0 += filters[f0 + k] * x;
        t0 += filters[f0 + k] * y;
        s1 += filters[f1 + k] * x;
        t1 += filters[f1 + k] * y;
        s2 += filters[f2 + k] * x;
        t2 += filters[f2 + k] * y;
        s3 += filters[f3 + k] * x;
        t3 += filters[f3 + k] * y;
      }
      [output[o0 + p], output[o1 + p], output[o2 + p], output[o3 + p]] = [s0, s1, s2, s3];
      [output[o0 + q], output[o1 + q], output[o2 + q], output[o3 + q]] = [t0, t1, t2, t3];
    }
  }
}
