"use strict";
// The forward pass of each kind of step. A value is a Float32Array of maps: value[(map * rows + row) * columns + column].
// Sums are made in double precision, so that they are at least as exact as torch's.

const ACTIVATIONS = {
  relu: (x) => Math.max(0, x),
  leaky_relu: (x, step) => (x > 0 ? x : step.slope * x),
  elu: (x, step) => (x > 0 ? x : step.alpha * Math.expm1(x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => (x * (1 + erf(x / Math.SQRT2))) / 2,
  tanh: (x) => Math.tanh(x),
  scaled_tanh: (x, step) => step.amplitude * Math.tanh(step.slope * x),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
};

const OPERATIONS = {
  conv(step, [input], [inShape]) {
    const [maps, rows, columns] = step.shape;
    const { weight, bias } = step.tensors;
    const [, depth, height, width] = weight.shape;
    const length = depth * height * width; // weights of a filter
    const together = maps / step.groups; // filters that see the same maps
    const output = new Float32Array(maps * rows * columns);
    const patches = new Float32Array(columns * length);
    for (let map = 0; map < maps; map += together) {
      for (let row = 0; row < rows; row++) {
        takePatches(step, input, inShape, firstMapSeen(step, map), row, patches);
        const filters = weight.data.subarray(map * length, (map + together) * length);
        multiply(filters, patches, length, bias?.data.subarray(map), output, map * rows * columns + row * columns, rows * columns);
      }
    }
    return output;
  },

  linear(step, [input]) {
    const { weight, bias } = step.tensors;
    const output = new Float32Array(weight.shape[0]);
    multiply(weight.data, input, weight.shape[1], bias?.data, output, 0, 1);
    return output;
  },

  batch_norm(step, [input]) {
    return perMap(step, input, (x, map) => normalisedBy(step, x, map));
  },

  affine(step, [input]) {
    return perMap(step, input, (x, map) => constantOf(step, "scale", map) * x + constantOf(step, "shift", map));
  },

  activation(step, [input]) {
    const apply = ACTIVATIONS[step.function];
    return input.map((x) => apply(x, step));
  },

  max_pool(step, [input], [inShape]) {
    return pooled(step, inShape, (window) => {
      let largest = -Infinity;
      eachIn(window, inShape, (at) => (largest = Math.max(largest, input[at])));
      return largest;
    });
  },

  average_pool(step, [input], [inShape]) {
    return pooled(step, inShape, (window) => {
      let sum = 0;
      eachIn(window, inShape, (at) => (sum += input[at]));
      return sum / divisorOf(step, window);
    });
  },

  lp_pool(step, [input], [inShape]) {
    return pooled(step, inShape, (window) => {
      let sum = 0;
      eachIn(window, inShape, (at) => (sum += input[at] ** step.power));
      return Math.max(0, sum) ** (1 / step.power);
    });
  },

  adaptive_average_pool(step, [input], [inShape]) {
    return OPERATIONS.average_pool({ ...step, divisor: null, padded: false }, [input], [inShape]);
  },

  adaptive_max_pool(step, inputs, shapes) {
    return OPERATIONS.max_pool(step, inputs, shapes);
  },

  flatten(step, [input]) {
    return input;
  },

  add(step, [one, other]) {
    return one.map((x, i) => x + other[i]);
  },

  concat(step, inputs) {
    const output = new Float32Array(size(step.shape));
    let at = 0;
    for (const input of inputs) {
      output.set(input, at);
      at += input.length;
    }
    return output;
  },

  pad(step, [input], [inShape]) {
    const output = new Float32Array(size(step.shape));
    eachPlace(step.shape, (map, row, column, at) => {
      const place = beforeBorder(step, inShape, [map, row, column]);
      output[at] = place ? input[indexOf(inShape, ...place)] : 0;
    });
    return output;
  },

  local_response_norm(step, [input]) {
    const output = new Float32Array(input.length);
    eachPlace(step.shape, (map, row, column, at) => {
      output[at] = input[at] / (step.k + (step.alpha / step.neighbours) * squaresAround(step, input, map, row, column)) ** step.beta;
    });
    return output;
  },

  group_norm(step, [input]) {
    const length = input.length / step.groups;
    const { weight, bias } = step.tensors;
    const perMapLength = input.length / step.shape[0];
    const output = new Float32Array(input.length);
    for (let group = 0; group < step.groups; group++) {
      const values = input.subarray(group * length, (group + 1) * length);
      const mean = values.reduce((sum, x) => sum + x, 0) / length;
      const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / length;
      for (let i = 0; i < length; i++) {
        const map = Math.floor((group * length + i) / perMapLength);
        const x = (values[i] - mean) / Math.sqrt(variance + step.eps);
        output[group * length + i] = x * (weight ? weight.data[map] : 1) + (bias ? bias.data[map] : 0);
      }
    }
    return output;
  },

  rbf(step, [input]) {
    const { centres } = step.tensors;
    const output = new Float32Array(step.shape[0]);
    for (let unit = 0; unit < output.length; unit++) {
      let distance = 0;
      for (let i = 0; i < input.length; i++) distance += (input[i] - centres.data[unit * input.length + i]) ** 2;
      output[unit] = -distance;
    }
    return output;
  },

  against_zero(step, [input]) {
    return Float32Array.of(0, input[0]);
  },

  softmax(step, [input]) {
    return softmax(input);
  },
};

/** Returns the exponentials of scores over their sum. */
function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = Array.from(scores, (x) => Math.exp(x - largest));
  const sum = powers.reduce((total, x) => total + x, 0);
  return Float32Array.from(powers, (x) => x / sum);
}

/** Returns a value for each window of each map. */
function pooled(step, inShape, valueOf) {
  const output = new Float32Array(size(step.shape));
  eachPlace(step.shape, (map, row, column, at) => (output[at] = valueOf(windowOf(step, inShape, map, row, column))));
  return output;
}

function perMap(step, input, valueOf) {
  const length = input.length / step.shape[0];
  return input.map((x, at) => valueOf(x, Math.floor(at / length)));
}

function normalisedBy(step, x, map) {
  const { mean, variance, weight, bias } = step.tensors;
  const normalised = (x - mean.data[map]) / Math.sqrt(variance.data[map] + step.eps);
  return normalised * (weight ? weight.data[map] : 1) + (bias ? bias.data[map] : 0);
}

/** Returns a step's scale or shift: one number, or one for each map. */
function constantOf(step, name, map) {
  return step.tensors[name] ? step.tensors[name].data[map] : step[name];
}

/** The error function, by its Taylor series, and by its continued fraction where |x| is large: exact to 1e-14. */
function erf(x) {
  const z = Math.abs(x);
  if (z < 2.5) {
    let sum = z;
    for (let n = 1, term = z; Math.abs(term) > 1e-17; n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    return (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI);
  }
  let fraction = 0;
  for (let n = 60; n > 0; n--) fraction = n / 2 / (z + fraction);
  return Math.sign(x) * (1 - Math.exp(-z * z) / ((z + fraction) * Math.sqrt(Math.PI)));
}
