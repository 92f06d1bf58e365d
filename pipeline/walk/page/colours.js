"use strict";
// Values as colours: one hue below zero, one above it, and the paper's colour at zero, in light and in dark.

const LEVELS = 255; // on either side of zero

let colours = []; // [red, green, blue] of -LEVELS..LEVELS
let words = new Uint32Array(); // the same as pixels of an image, opaque

/** Reads the three colours of the style sheet, which differ between light and dark. */
function readColours() {
  const style = getComputedStyle(document.documentElement);
  const [negative, zero, positive] = ["--negative", "--zero", "--positive"].map((name) => rgbOf(style.getPropertyValue(name)));
  colours = Array.from({ length: 2 * LEVELS + 1 }, (_, i) => {
    const share = Math.abs(i - LEVELS) / LEVELS;
    const end = i < LEVELS ? negative : positive;
    return zero.map((part, k) => Math.round(part + (end[k] - part) * share ** 0.75)); // faint values still show
  });
  words = new Uint32Array(Uint8Array.from(colours.flatMap((colour) => [...colour, 255])).buffer);
}

function rgbOf(hex) {
  const number = parseInt(hex.trim().slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
}

/** Returns the colour of a value, on a scale from -limit to limit. */
function colourOf(value, limit) {
  return colours[levelOf(value, limit)];
}

function levelOf(value, limit) {
  const level = limit > 0 ? Math.round((value / limit) * LEVELS) : 0;
  return Math.min(Math.max(level, -LEVELS), LEVELS) + LEVELS;
}

/** Returns values as a canvas with a pixel for each. canvas: to be drawn on, if there is one already. */
function mapPicture(values, rows, columns, limit, canvas = document.createElement("canvas")) {
  [canvas.width, canvas.height] = [columns, rows];
  const image = new ImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < pixels.length; at++) pixels[at] = words[levelOf(values[at], limit)];
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function cssColour(value, limit) {
  return `rgb(${colourOf(value, limit).join(" ")})`;
}

/** Returns the colour of text that is legible on a value's colour. */
function inkOn(value, limit) {
  const [red, green, blue] = colourOf(value, limit);
  return 0.3 * red + 0.59 * green + 0.11 * blue > 140 ? "#16181d" : "#fafafa";
}

/** Returns the largest magnitude among values. */
function limitOf(values) {
  let limit = 0;
  for (const value of values) limit = Math.max(limit, Math.abs(value));
  return limit;
}

/** Returns a number as text of about three digits. */
function numeral(value) {
  const magnitude = Math.abs(value);
  if (magnitude === 0) return "0";
  const text = magnitude >= 1000 ? magnitude.toFixed(0) : magnitude >= 0.0005 ? magnitude.toPrecision(3) : magnitude.toExponential(0);
  return (value < 0 ? "−" : "") + text.replace(/^(\d*\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

/** Returns a number with two digits, for narrow cells. */
function shortNumeral(value) {
  const magnitude = Math.abs(value);
  const text = magnitude < 0.005 ? "0" : magnitude < 9.95 ? magnitude.toFixed(magnitude < 1 ? 2 : 1).replace(/^0\./, ".") : magnitude.toFixed(0);
  return (value < 0 && text !== "0" ? "−" : "") + text;
}
