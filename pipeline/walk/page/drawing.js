"use strict";
// The image: shown enlarged, drawn upon with a mouse, a finger, a pen or the keyboard.

class ImageView extends MapsView {
  /** onDraw(): called when pixels have been changed by drawing. */
  constructor(step, onUnit, onDraw) {
    super(step, onUnit);
    this.shown = 1;
    this.onDraw = onDraw;
    this.pixels = new Float32Array(WALK.side * WALK.side * WALK.channels);
    this.last = null; // where the pen was, in pixels of the image
    this.marks.id = "image-canvas";
    this.marks.setAttribute("aria-label", "The image: draw with a mouse or finger; arrow keys move over its pixels, Space draws one");
    this.marks.addEventListener("pointerdown", (event) => this.start(event));
    this.marks.addEventListener("pointermove", (event) => this.last && this.go(event));
    for (const end of ["pointerup", "pointercancel"]) this.marks.addEventListener(end, () => (this.last = null));
  }

  layOut(width) {
    this.tile = { width, height: width };
    [this.gap, this.across, this.width, this.height] = [0, 1, width, width];
    for (const canvas of [this.canvas, this.marks]) fitCanvas(canvas, width, width);
  }

  origin() {
    return { x: 0, y: 0 };
  }

  draw() {
    const context = this.canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(pixelPicture(this.pixels), 0, 0, this.width, this.height);
  }

  mark(part, isUnit = false) {
    super.mark(part && { ...part, first: 0, last: 0 }, isUnit);
  }

  reach(event, isChosen) {
    if (!this.last && !isChosen) super.reach(event, false); // a click is the end of a stroke
  }

  start(event) {
    if (event.button) return;
    this.marks.setPointerCapture(event.pointerId);
    this.last = this.at(event);
    this.go(event);
    event.preventDefault();
    this.marks.focus({ preventScroll: true });
  }

  go(event) {
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) {
      const next = this.at(each);
      this.stroke(this.last, next);
      this.last = next;
    }
    this.onDraw();
  }

  at(event) {
    const bounds = this.marks.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top].map((along) => (along / this.width) * WALK.side);
  }

  /** Draws a line with soft edges, as wide as the pen, in its colour. */
  stroke([fromX, fromY], [toX, toY]) {
    const width = Number(document.getElementById("pen").value);
    const ink = inkOf(document.getElementById("ink").value);
    const length = (toX - fromX) ** 2 + (toY - fromY) ** 2;
    for (let row = 0; row < WALK.side; row++) {
      for (let column = 0; column < WALK.side; column++) {
        const [x, y] = [column + 0.5 - fromX, row + 0.5 - fromY];
        const along = length ? Math.min(Math.max((x * (toX - fromX) + y * (toY - fromY)) / length, 0), 1) : 0;
        const distance = Math.hypot(x - along * (toX - fromX), y - along * (toY - fromY));
        const cover = Math.min(Math.max(width / 2 + 0.5 - distance, 0), 1);
        if (cover > 0) this.blend(row, column, ink, cover);
      }
    }
  }

  blend(row, column, ink, cover) {
    const at = (row * WALK.side + column) * WALK.channels;
    for (let channel = 0; channel < WALK.channels; channel++) {
      const before = this.pixels[at + channel];
      // white ink never takes light away, so that a stroke's soft edge does not eat into another
      const mixed = before + (ink[channel] - before) * cover;
      this.pixels[at + channel] = Math.round(ink[channel] === 255 ? Math.max(before, 255 * cover) : mixed);
    }
  }

  press(event) {
    if (event.key !== " ") return super.press(event);
    const { row, column } = this.place;
    this.stroke([column + 0.5, row + 0.5], [column + 0.5, row + 0.5]);
    this.onDraw();
    event.preventDefault();
  }
}

/** Returns the pen's colour in the channels of the image. */
function inkOf(hex) {
  const [red, green, blue] = rgbOf(hex);
  return WALK.channels === 1 ? [luma(red, green, blue)] : [red, green, blue];
}

/** The gray of ITU-R 601, as the data set is decoded. */
function luma(red, green, blue) {
  return Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
}

/** Returns pixels as a canvas of the image's own size. */
function pixelPicture(pixels) {
  const { side, channels } = WALK;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  for (let at = 0; at < side * side; at++) {
    for (let part = 0; part < 3; part++) image.data[at * 4 + part] = pixels[at * channels + (channels === 1 ? 0 : part)];
    image.data[at * 4 + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
