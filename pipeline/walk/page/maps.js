"use strict";
// The maps of a step as tiles on one canvas, with a second canvas above it for what is marked.

const GAP = 4; // pixels between tiles
const LEAST_TILE = 34; // pixels, so that a finger finds it
const LARGEST_TILE = 88;
const CLASS_CELL = 34; // pixels of a score's cell, at least, which holds its class where there are few
const WIDEST_CLASS = 110; // pixels of such a cell
const LONGEST_CLASS = 16; // characters of a class in it
const FIRST_MAPS = 64; // shown at once; more on request
const FEW = 128; // values of a fully connected layer; cells of more are smaller

/** Returns the side of a tile, in pixels: a whole multiple of the map's where there is room, so that pixels stay square and crisp. */
function tileSide(side) {
  if (side >= LARGEST_TILE) return LARGEST_TILE;
  const most = side >= 20 ? LARGEST_TILE : side >= 10 ? 72 : 56;
  return Math.max(LEAST_TILE, side * Math.max(1, Math.floor(most / side)));
}

function longestClass() {
  return Math.max(...WALK.classes.map((name) => Math.min(name.length, LONGEST_CLASS)));
}

class MapsView {
  /**
   * step: whose maps. onUnit(unit, isChosen): called as the pointer or the keys move to a unit, and when one is chosen.
   * side: of a tile, in pixels, if it is not to follow from the maps' size.
   */
  constructor(step, onUnit, side) {
    this.step = step;
    this.side = side;
    this.onUnit = onUnit;
    this.hasCells = step.shape[1] * step.shape[2] === 1; // values in place of maps
    this.shown = Math.min(step.shape[0], this.hasCells ? Infinity : FIRST_MAPS);
    this.place = { map: 0, row: Math.floor(step.shape[1] / 2), column: Math.floor(step.shape[2] / 2) };
    this.canvas = document.createElement("canvas");
    this.marks = document.createElement("canvas");
    this.marks.className = "marks";
    this.marks.tabIndex = 0;
    this.marks.setAttribute("role", "application");
    this.marks.setAttribute("aria-label", `${step.name}, ${step.label}: arrow keys move between values, Page Up and Page Down between maps`);
    this.element = document.createElement("div");
    this.element.className = "maps";
    this.element.append(this.canvas, this.marks);
    this.values = null;
    this.part = null;
    this.marks.addEventListener("pointermove", (event) => event.pointerType !== "touch" && this.reach(event, false));
    this.marks.addEventListener("click", (event) => this.reach(event, true));
    this.marks.addEventListener("keydown", (event) => this.press(event));
    this.marks.addEventListener("focus", () => this.marks.matches(":focus-visible") && this.onUnit(this.unit(), false));
  }

  unit() {
    return { step: this.step.index, ...this.place };
  }

  /** Computes where the tiles lie, for a width in pixels. */
  layOut(width) {
    const [, rows, columns] = this.step.shape;
    const side = this.hasCells ? this.cellSide() : (this.side ?? tileSide(Math.max(rows, columns)));
    this.tile = { width: (side * columns) / Math.max(rows, columns), height: (side * rows) / Math.max(rows, columns) };
    if (this.namesClasses()) this.tile.width = Math.min(Math.max(CLASS_CELL, 10 + 6.5 * longestClass()), WIDEST_CLASS);
    this.gap = this.hasCells ? 1 : GAP;
    this.across = Math.max(1, Math.min(this.shown, Math.floor((width + this.gap) / (this.tile.width + this.gap))));
    const down = Math.ceil(this.shown / this.across);
    this.width = this.across * (this.tile.width + this.gap) - this.gap;
    this.height = down * (this.tile.height + this.gap) - this.gap;
    for (const canvas of [this.canvas, this.marks]) fitCanvas(canvas, this.width, this.height);
  }

  cellSide() {
    if (this.namesClasses()) return CLASS_CELL;
    return this.step.shape[0] > FEW ? 12 : 18;
  }

  /** Returns whether the cells are scores of classes, few enough to be named. */
  namesClasses() {
    return (this.step.index === SCORES || this.step.op === "softmax") && WALK.classes.length <= FEW;
  }

  /** Returns where a map's tile lies, in pixels of the canvas. */
  origin(map) {
    return { x: (map % this.across) * (this.tile.width + this.gap), y: Math.floor(map / this.across) * (this.tile.height + this.gap) };
  }

  /** Returns the box of a part of a map, in pixels of the canvas. */
  box(map, part) {
    const [, rows, columns] = this.step.shape;
    const { x, y } = this.origin(map);
    const [across, down] = [this.tile.width / columns, this.tile.height / rows];
    return {
      x: x + part.left * across,
      y: y + part.top * down,
      width: (part.right - part.left + 1) * across,
      height: (part.bottom - part.top + 1) * down,
    };
  }

  draw(values) {
    this.values = values;
    this.limit = limitOf(values);
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    context.imageSmoothingEnabled = false;
    this.drawTiles(context);
    this.mark(this.part);
  }

  drawTiles(context) {
    const [, rows, columns] = this.step.shape;
    this.stack = mapPicture(this.values, this.shown * rows, columns, this.limit, this.stack); // all maps, one below the other
    const { width, height } = this.tile;
    for (let map = 0; map < this.shown; map++) {
      const { x, y } = this.origin(map);
      context.drawImage(this.stack, 0, map * rows, columns, rows, x, y, width, height);
      if (this.namesClasses()) this.writeClass(context, map, x, y);
    }
  }

  writeClass(context, map, x, y) {
    context.fillStyle = inkOn(this.values[map], this.limit);
    context.font = "11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(WALK.classes[map].slice(0, LONGEST_CLASS), x + this.tile.width / 2, y + CLASS_CELL / 2, this.tile.width - 4);
  }

  /** Outlines a part on each of its maps; a single value is filled as well. part: see receptiveFields; null: nothing. */
  mark(part, isUnit = false) {
    this.part = part;
    if (!this.tile) return; // in a section that has been folded from the start
    const context = this.marks.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    if (!part) return;
    const style = getComputedStyle(document.documentElement);
    context.strokeStyle = style.getPropertyValue(isUnit ? "--unit" : "--field");
    context.lineWidth = isUnit ? 2.5 : 1.5;
    if (this.hasCells && part.last - part.first === this.step.shape[0] - 1 && part.last > 0) {
      context.strokeRect(0.5, 0.5, this.width - 1, this.height - 1); // the whole layer
      return;
    }
    for (let map = part.first; map <= Math.min(part.last, this.shown - 1); map++) {
      const { x, y, width, height } = this.box(map, part);
      context.strokeRect(x + 0.5, y + 0.5, Math.max(width - 1, 2), Math.max(height - 1, 2));
    }
  }

  /** Fills a value, in addition to what is outlined. */
  dot({ map, row, column }) {
    if (map >= this.shown || !this.tile) return;
    const context = this.marks.getContext("2d");
    const { x, y, width, height } = this.box(map, { top: row, bottom: row, left: column, right: column });
    context.fillStyle = context.strokeStyle;
    context.fillRect(x, y, width, height);
  }

  /** Goes to the value under the pointer. */
  reach(event, isChosen) {
    const bounds = this.marks.getBoundingClientRect();
    const [x, y] = [event.clientX - bounds.left, event.clientY - bounds.top];
    const column = Math.floor(x / (this.tile.width + this.gap));
    const map = Math.floor(y / (this.tile.height + this.gap)) * this.across + column;
    if (column >= this.across || map < 0 || map >= this.shown) return;
    const { x: left, y: top } = this.origin(map);
    const [, rows, columns] = this.step.shape;
    const within = (at, length, count) => Math.min(Math.max(Math.floor((at / length) * count), 0), count - 1);
    this.place = { map, row: within(y - top, this.tile.height, rows), column: within(x - left, this.tile.width, columns) };
    this.onUnit(this.unit(), isChosen);
  }

  press(event) {
    const [maps, rows, columns] = this.step.shape;
    const moves = this.hasCells ? this.movesInRow() : MapsView.MOVES;
    const move = moves[event.key];
    if (move) {
      const within = (at, count) => Math.min(Math.max(at, 0), count - 1);
      const { map, row, column } = this.place;
      this.place = {
        map: within(map + (move.map ?? 0), Math.min(maps, this.shown)),
        row: within(row + (move.row ?? 0), rows),
        column: within(column + (move.column ?? 0), columns),
      };
      this.onUnit(this.unit(), false);
    } else if (event.key === "Enter") {
      this.onUnit(this.unit(), true);
    } else {
      return;
    }
    event.preventDefault();
  }

  movesInRow() {
    return { ArrowLeft: { map: -1 }, ArrowRight: { map: 1 }, ArrowUp: { map: -this.across }, ArrowDown: { map: this.across } };
  }
}

MapsView.MOVES = {
  ArrowLeft: { column: -1 },
  ArrowRight: { column: 1 },
  ArrowUp: { row: -1 },
  ArrowDown: { row: 1 },
  PageUp: { map: -1 },
  PageDown: { map: 1 },
};

/** Gives a canvas a size in CSS pixels, and as many of its own as the screen has. */
function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.max(1, Math.round(height * ratio));
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
}
