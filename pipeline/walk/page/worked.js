"use strict";
// How a value comes about, in numbers: for each kind of step the window, the weights, the products and the sum.

/**
 * Returns the explanation of a value, as elements.
 * values: of all steps; pixels: of the image; chosen: the input map to look at; choose(map): called when another is asked for.
 */
function worked(unit, values, pixels, chosen, choose) {
  const step = STEPS[unit.step];
  const value = values[unit.step][indexOf(step.shape, unit.map, unit.row, unit.column)];
  const head = make("h2", {}, placeName(unit));
  const result = make("p", { class: "result" }, make("b", {}, numeral(value)), ` ${step.label}`);
  const inputs = step.inputs.map((index) => ({ index, values: values[index], shape: STEPS[index].shape }));
  const explain = WORKED[step.op];
  return [head, result, ...explain({ step, unit, value, inputs, input: inputs[0], pixels, chosen, choose, values })];
}

/** Returns the bias of a unit as the term of a sum; none where the layer has none. */
function biasOf({ tensors: { bias } }, { map }) {
  return bias ? [{ name: "bias", value: bias.data[map] }] : [];
}

const WORKED = {
  input({ unit, value, pixels }) {
    const raw = pixels[(unit.row * WALK.side + unit.column) * WALK.channels + unit.map];
    const [mean, std] = [WALK.mean[unit.map], WALK.std[unit.map]];
    return [
      formula(`(${numeral(raw)} ÷ 255 − ${numeral(mean)}) ÷ ${numeral(std)} = ${numeral(value)}`),
      note("A pixel of 0 to 255, less the mean of the training images, over their standard deviation."),
    ];
  },

  conv({ step, unit, value, input, chosen, choose }) {
    const terms = termsOf(step, unit, input);
    const term = terms.find((each) => each.map === chosen) ?? terms[0];
    const [, , height, width] = step.tensors.weight.shape;
    const grid = (values, title, limit) => numberGrid(values, height, width, title, { limit });
    const which = input.index === 0 ? channelName(term.map) : `map ${term.map}`;
    return [
      make(
        "div",
        { class: "grids" },
        grid(term.window, `window on ${which}`, limitOf(input.values)),
        make("span", { class: "sign" }, "×"),
        grid(term.filter, `filter ${unit.map}`, limitOf(step.tensors.weight.data)),
        make("span", { class: "sign" }, "="),
        grid(term.products, "products", limitOf(terms.flatMap((each) => each.products))),
      ),
      sumOf(
        terms.map(({ map, sum }) => ({ name: input.index === 0 ? channelName(map) : `map ${map}`, value: sum, key: map })),
        biasOf(step, unit),
        value,
        terms.length > 1 ? { chosen: term.map, choose } : {},
      ),
    ];
  },

  linear({ step, unit, value, input }) {
    const weight = step.tensors.weight.data.subarray(unit.map * input.values.length, (unit.map + 1) * input.values.length);
    const terms = Array.from(weight, (factor, i) => ({
      name: inputName(input.index, i).replace(/^[^,]*, /, "").replace(/, row (\d+), column (\d+)$/, ": $1, $2"),
      detail: `${numeral(input.values[i])} × ${numeral(factor)}`,
      value: factor * input.values[i],
    }));
    const source = note(`of ${STEPS[STEPS[input.index].op === "flatten" ? STEPS[input.index].inputs[0] : input.index].name}:`);
    return [...laidOut(input, weight, terms), source, sumOf(terms, biasOf(step, unit), value)];
  },

  max_pool({ step, unit, value, input }) {
    return [windowGrid(step, unit, input, true), formula(`the largest of them: ${numeral(value)}`)];
  },

  average_pool({ step, unit, value, input }) {
    const window = windowOf(step, input.shape, unit.map, unit.row, unit.column);
    let sum = 0;
    eachIn(window, input.shape, (at) => (sum += input.values[at]));
    return [windowGrid(step, unit, input, false), formula(`${numeral(sum)} ÷ ${divisorOf(step, window)} = ${numeral(value)}`)];
  },

  lp_pool({ step, unit, value, input }) {
    return [windowGrid(step, unit, input, false), formula(`the root of the sum of their squares: ${numeral(value)}`)];
  },

  adaptive_average_pool(given) {
    return WORKED.average_pool({ ...given, step: { ...given.step, divisor: null, padded: false } });
  },

  adaptive_max_pool(given) {
    return WORKED.max_pool(given);
  },

  activation({ step, unit, value, input }) {
    const x = input.values[indexOf(step.shape, unit.map, unit.row, unit.column)];
    return [curve((at) => ACTIVATIONS[step.function](at, step), x, value), formula(`f(${numeral(x)}) = ${numeral(value)}`)];
  },

  batch_norm({ step, unit, value, input }) {
    const { mean, variance, weight, bias } = step.tensors;
    const x = input.values[indexOf(step.shape, unit.map, unit.row, unit.column)];
    const [center, spread] = [mean.data[unit.map], Math.sqrt(variance.data[unit.map] + step.eps)];
    const [scale, shift] = [weight ? weight.data[unit.map] : 1, bias ? bias.data[unit.map] : 0];
    return [
      formula(`(${numeral(x)} − ${numeral(center)}) ÷ ${numeral(spread)} × ${numeral(scale)} + ${numeral(shift)} = ${numeral(value)}`),
      note("Less the map's mean in training, over its standard deviation; then a scale and a shift that were learnt."),
    ];
  },

  affine({ step, unit, value, input }) {
    const x = input.values[indexOf(step.shape, unit.map, unit.row, unit.column)];
    const [scale, shift] = ["scale", "shift"].map((name) => constantOf(step, name, unit.map));
    return [formula(`${numeral(x)} × ${numeral(scale)} + ${numeral(shift)} = ${numeral(value)}`)];
  },

  add({ step, unit, value, inputs }) {
    const at = indexOf(step.shape, unit.map, unit.row, unit.column);
    const terms = inputs.map(({ index, values }) => ({ name: STEPS[index].name, value: values[at] }));
    return [sumOf(terms, [], value), note("Two paths meet: what was learnt is added to what came in.")];
  },

  concat({ step, unit }) {
    let map = unit.map;
    const from = step.inputs.find((index) => (map < STEPS[index].shape[0] ? true : ((map -= STEPS[index].shape[0]), false)));
    return [formula(`map ${map} of ${STEPS[from].name}, as it is`)];
  },

  flatten({ step, unit }) {
    return [formula(`${inputName(step.index, unit.map)}, as it is`)];
  },

  pad({ step, unit, input }) {
    const place = beforeBorder(step, input.shape, [unit.map, unit.row, unit.column]);
    return [formula(place ? `row ${place[1]}, column ${place[2]} of ${STEPS[input.index].name}` : "a border of zeros")];
  },

  local_response_norm({ step, unit, value, input }) {
    const x = input.values[indexOf(step.shape, unit.map, unit.row, unit.column)];
    const squares = squaresAround(step, input.values, unit.map, unit.row, unit.column);
    const alpha = step.alpha / step.neighbours;
    return [
      formula(`${numeral(x)} ÷ (${numeral(step.k)} + ${numeral(alpha)} × ${numeral(squares)})^${step.beta} = ${numeral(value)}`),
      note(`Damped by the squares of ${step.neighbours} neighbouring maps, at the same place.`),
    ];
  },

  group_norm({ step, value }) {
    return [formula(`= ${numeral(value)}`), note(`Less the mean of its group, one of ${step.groups}, over the group's standard deviation.`)];
  },

  rbf({ value }) {
    return [formula(`−(distance from the digit's drawing)² = ${numeral(value)}`)];
  },

  against_zero({ unit }) {
    return [note(unit.map ? "The one output that was learnt." : "The first class always scores 0.")];
  },

  softmax({ unit, value, input }) {
    const powers = Array.from(input.values, Math.exp);
    const sum = powers.reduce((total, x) => total + x, 0);
    return [
      formula(`e^${numeral(input.values[unit.map])} ÷ Σ e^score = ${numeral(powers[unit.map])} ÷ ${numeral(sum)} = ${numeral(value)}`),
      note("Scores become shares of a whole: the probabilities."),
    ];
  },
};

/** Returns the weights and products of a unit laid out as the maps that it sees; nothing where it sees no maps. */
function laidOut(input, weight, terms) {
  if (STEPS[input.index].op !== "flatten") return [];
  const shape = STEPS[STEPS[input.index].inputs[0]].shape;
  if (shape[1] * shape[2] === 1) return [];
  const products = Float32Array.from(terms, ({ value }) => value);
  return [
    make("div", { class: "strips" }, mapStrip(weight, shape, "weights, as the maps they see"), mapStrip(products, shape, "products")),
  ];
}

/** Returns the window of a pooling's value. marksLargest: whether its winner is outlined. */
function windowGrid(step, unit, input, marksLargest) {
  const window = windowOf(step, input.shape, unit.map, unit.row, unit.column);
  const values = [];
  eachIn(window, input.shape, (at) => values.push(input.values[at]));
  const winner = marksLargest ? values.indexOf(Math.max(...values)) : -1;
  const title = `window on map ${unit.map} of ${STEPS[input.index].name}`;
  return make("div", { class: "grids" }, numberGrid(values, window.bottom - window.top, window.right - window.left, title, {
    limit: limitOf(input.values),
    winner,
  }));
}
