"use strict";
// An image file as the network sees it: decoded, resized and cut as the training images were.

/** Returns the pixels of an image file. Throws if the browser can't read it. */
async function readPhoto(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const canvas = make("canvas", { width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = `rgb(${WALK.background.join(" ")})`; // under transparent pixels
  context.fillRect(0, 0, bitmap.width, bitmap.height);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return middleOf(fit(inChannels(data, bitmap.width, bitmap.height), WALK.stored, WALK.method), WALK.side).pixels;
}

/** Returns red, green, blue, alpha as an image in the network's channels. */
function inChannels(data, width, height) {
  const { channels } = WALK;
  const pixels = new Float32Array(width * height * channels);
  for (let at = 0; at < width * height; at++) {
    const rgb = [data[at * 4], data[at * 4 + 1], data[at * 4 + 2]];
    if (channels === 1) pixels[at] = luma(...rgb);
    else pixels.set(rgb, at * 3);
  }
  return { pixels, width, height };
}

/** Brings an image to a square by resize.method: stretch, letterbox (black bars) or crop. */
function fit(image, side, method) {
  if (method === "stretch") return scaled(image, side, side);
  if (method === "crop") return cropped(image, side);
  const scale = side / Math.max(image.width, image.height);
  const inner = scaled(image, Math.max(1, Math.round(image.width * scale)), Math.max(1, Math.round(image.height * scale)));
  return cut(inner, side, side);
}

/** Returns the middle square of an image: cut out after it is shrunk, as in training, but before it is enlarged. */
function cropped(image, side) {
  const scale = side / Math.min(image.width, image.height);
  const sides = [image.width, image.height].map((length) => Math.max(side, Math.round(length * scale)));
  const small = scale < 1 ? scaled(image, ...sides) : image;
  const shorter = Math.min(small.width, small.height);
  return scaled(cut(small, shorter, shorter), side, side);
}

/** Returns the middle of an image; around a smaller one black pixels. */
function cut(image, width, height) {
  const { channels } = WALK;
  const pixels = new Float32Array(width * height * channels);
  const left = Math.trunc((image.width - width) / 2);
  const top = Math.trunc((image.height - height) / 2);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const [y, x] = [row + top, column + left];
      if (y < 0 || x < 0 || y >= image.height || x >= image.width) continue;
      const from = (y * image.width + x) * channels;
      pixels.set(image.pixels.subarray(from, from + channels), (row * width + column) * channels);
    }
  }
  return { pixels, width, height };
}

function middleOf(image, side) {
  return side === image.width ? image : cut(image, side, side);
}

/** Resizes an image: the mean of the area where it shrinks, linear between pixels where it grows. */
function scaled(image, width, height) {
  const columns = resampled(image.width, width);
  const rows = resampled(image.height, height);
  const { channels } = WALK;
  const wide = new Float32Array(width * image.height * channels); // as wide as asked, not yet as high
  for (let row = 0; row < image.height; row++) {
    columns.forEach((parts, column) => {
      for (const [from, share] of parts) {
        for (let c = 0; c < channels; c++) {
          wide[(row * width + column) * channels + c] += share * image.pixels[(row * image.width + from) * channels + c];
        }
      }
    });
  }
  const pixels = new Float32Array(width * height * channels);
  rows.forEach((parts, row) => {
    for (const [from, share] of parts) {
      for (let i = 0; i < width * channels; i++) pixels[row * width * channels + i] += share * wide[from * width * channels + i];
    }
  });
  return { pixels: pixels.map(Math.round), width, height };
}

/** Returns for each new pixel along a side the old ones that it is made of, with their shares. */
function resampled(before, after) {
  const ratio = before / after;
  return Array.from({ length: after }, (_, at) => {
    if (ratio < 1) {
      const place = Math.min(Math.max((at + 0.5) * ratio - 0.5, 0), before - 1);
      const first = Math.floor(place);
      return [[first, 1 - (place - first)], [Math.min(first + 1, before - 1), place - first]];
    }
    const [start, end] = [at * ratio, Math.min((at + 1) * ratio, before)];
    const parts = [];
    for (let from = Math.floor(start); from < Math.ceil(end - 1e-9); from++) {
      parts.push([from, (Math.min(from + 1, end) - Math.max(from, start)) / (end - start)]);
    }
    return parts;
  });
}
