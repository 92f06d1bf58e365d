"use strict";
// What the page was given: the network's steps and weights, and some images.

/** Returns the bytes of a <script> that holds them in base64. */
function bytesOf(id) {
  const text = atob(document.getElementById(id).textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** The description of the network: see `description` in page.py. */
const WALK = JSON.parse(document.getElementById("network").textContent);

const WEIGHTS = new Float32Array(bytesOf("weights").buffer);
const SAMPLES = bytesOf("samples-data"); // one after the other, each as rows of pixels

const SCORES = WALK.steps.length - 1; // index of the network's last step
const SOFTMAX = { name: "softmax", label: "probabilities", op: "softmax", inputs: [SCORES], shape: [WALK.classes.length], tensors: {} };

/** Every step with its shape as [maps, rows, columns], features being maps of one pixel, and with its tensors. */
const STEPS = [...WALK.steps, SOFTMAX].map((step, index) => ({
  ...step,
  index,
  flat: step.shape.length === 1,
  shape: [...step.shape, 1, 1].slice(0, 3),
  tensors: Object.fromEntries(
    Object.entries(step.tensors).map(([name, [start, shape]]) => {
      const length = shape.reduce((product, side) => product * side, 1);
      return [name, { data: WEIGHTS.subarray(start, start + length), shape }];
    }),
  ),
}));

/** Returns the pixels of a sample: rows of pixels of 0..255, the channels of a pixel side by side. */
function sampleOf(number) {
  const length = WALK.side * WALK.side * WALK.channels;
  return Float32Array.from(SAMPLES.subarray(number * length, (number + 1) * length));
}

/** Returns a value's place in words. */
function placeName({ step, map, row, column }) {
  const { name, flat } = STEPS[step];
  if (step === SCORES || STEPS[step].op === "softmax") return `${name}, class ${WALK.classes[map]}`;
  if (flat) return `${name}, unit ${map}`;
  return `${name}, ${step === 0 ? channelName(map) : `map ${map}`}, row ${row}, column ${column}`;
}

function channelName(channel) {
  return WALK.channels === 1 ? "gray" : ["red", "green", "blue"][channel];
}

/** Returns the shape of a step's output in words. */
function shapeName({ flat, shape: [maps, rows, columns] }) {
  if (flat) return maps === 1 ? "1 value" : `${maps} values`;
  return `${maps} ${maps === 1 ? "map" : "maps"} of ${rows}×${columns}`;
}

/** Returns an element with attributes, some of which may be undefined, and children. */
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
