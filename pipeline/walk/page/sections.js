"use strict";
// The layers in sections: a convolution or linear layer with what follows it, which can be folded.

const OPEN_AT_MOST = 8; // sections; of a deeper network the first and the last two are unfolded
const WINDOWED = new Set(["conv", "linear"]); // steps that begin a section
const STRIP = 10; // maps beside a folded section's name

/** Groups the steps: a section for each convolution or linear layer, with what follows it. */
function groups() {
  const found = [];
  for (const step of STEPS.slice(1, SCORES + 2)) {
    if (!found.length || WINDOWED.has(step.op)) found.push([]);
    found.at(-1).push(step);
  }
  return found;
}

function makeSection(steps, isOpen) {
  const [first, last] = [steps[0], steps.at(-1)];
  const strip = make("canvas", { class: "preview", "aria-hidden": "true" });
  const title = make("span", { class: "name" }, first.name);
  const kinds = [...new Set(steps.map(({ label }) => label))];
  const kind = make("span", { class: "kind" }, kinds.slice(0, 4).join(" · ") + (kinds.length > 4 ? " …" : ""));
  const summary = make("summary", {}, title, kind, make("span", { class: "shape" }, shapeName(last)), strip);
  const details = make("details", { "data-step": first.index }, summary);
  details.open = isOpen;
  const section = { steps, details, strip };
  for (const step of steps) {
    views[step.index] = new MapsView(step, look);
    details.append(makeFigure(step, views[step.index], section));
  }
  details.addEventListener("toggle", () => {
    layOutSection(section);
    drawSection(section);
    explain();
  });
  return section;
}

function makeFigure(step, view, section) {
  const more = [];
  if (view.shown < step.shape[0]) {
    const button = make("button", { type: "button" }, `show all ${step.shape[0]}`);
    button.addEventListener("click", () => {
      view.shown = step.shape[0];
      button.remove();
      layOutSection(section);
      drawSection(section);
      explain();
    });
    more.push(button);
  }
  const caption = make("figcaption", {}, make("b", {}, step.name), ` ${step.label} · ${shapeName(step)} `, ...more);
  return make("figure", { class: "step", "data-op": step.op }, caption, view.element);
}

function layOutSection({ steps, details, strip }) {
  if (strip) fitCanvas(strip, STRIP * 22, 20);
  if (!details.open) return;
  const width = document.getElementById("sections").clientWidth - 26; // less the section's padding and border
  for (const step of steps) views[step.index].layOut(width);
}

function drawSection({ steps, details, strip }) {
  if (!state.values.length) return;
  if (details.open) {
    for (const step of steps) views[step.index].draw(state.values[step.index]);
  } else if (strip) {
    drawPreview(strip, steps.at(-1));
  }
}

/** Draws the first maps of a folded section, small. */
function drawPreview(canvas, step) {
  const context = canvas.getContext("2d");
  const [maps, rows, columns] = step.shape;
  const values = state.values[step.index];
  const limit = limitOf(values);
  context.clearRect(0, 0, STRIP * 22, 20);
  context.imageSmoothingEnabled = rows > 20;
  for (let map = 0; map < Math.min(maps, STRIP); map++) {
    const part = values.subarray(map * rows * columns, (map + 1) * rows * columns);
    context.drawImage(mapPicture(part, rows, columns, limit), map * 22, 0, 20, 20);
  }
}
