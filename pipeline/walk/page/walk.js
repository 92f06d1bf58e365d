"use strict";
// The page: what is shown, and what follows from what a person does.

const LINKED = 12; // inputs at most, to which lines lead

const SLOW = 100; // ms of a forward pass, above which a pen would stick
const REST = 250; // ms without a stroke

const state = {
  label: null, // class of the image, if it is known
  values: [], // of each step
  unit: null, // the value that is looked at
  isPinned: false, // whether the pointer leaves it
  isSlow: false, // whether the network takes too long to follow a pen
  chosen: null, // input map of a convolution, whose window is shown
};
const own = ownFilter(STEPS.length);
STEPS.push(own); // computed, drawn and explained as the network's own steps

const image = new ImageView(STEPS[0], look, () => schedule(drawn));
const views = [image]; // by step; those of folded sections are drawn when they are unfolded
const sections = [];

/** Runs work before the next frame, once however often it is asked for. */
function schedule(work) {
  if (schedule.waiting.has(work)) return;
  schedule.waiting.add(work);
  requestAnimationFrame(() => {
    schedule.waiting.delete(work);
    work();
  });
}
schedule.waiting = new Set();

/** Shows an image: runs the network on it, and draws all that can be seen. */
function show(pixels, label, caption) {
  image.pixels = pixels;
  state.label = label;
  document.getElementById("sample").textContent = caption;
  compute();
}

function compute() {
  const before = performance.now();
  state.values = forward(image.pixels);
  state.isSlow = performance.now() - before > SLOW;
  image.draw();
  sections.forEach(drawSection);
  showAnswer(state.values[SCORES + 1], state.label);
  explain();
}

/** Follows a stroke of the pen: at once, or if that takes long when the pen rests. */
function drawn() {
  image.draw();
  clearTimeout(drawn.waiting);
  if (state.isSlow) drawn.waiting = setTimeout(showDrawing, REST);
  else showDrawing();
}

function showDrawing() {
  for (const option of document.querySelectorAll("#samples [aria-selected=true]")) option.setAttribute("aria-selected", "false");
  show(image.pixels, null, "");
}

function choose(number) {
  const { label, source, scores } = WALK.samples[number];
  show(sampleOf(number), label, `${label} · ${source}`);
  compareWithTorch(state.values[SCORES], scores);
  document.querySelectorAll("#samples button").forEach((option, i) => {
    option.setAttribute("aria-selected", i === number);
    option.tabIndex = i === number ? 0 : -1;
  });
}

/** Looks at a value. isChosen: whether to stay there when the pointer moves on; choosing it again lets go. */
function look(unit, isChosen) {
  const isSame = state.unit && JSON.stringify(unit) === JSON.stringify(state.unit);
  const isByKey = views[unit.step].marks.matches(":focus-visible");
  if (state.isPinned && !isChosen && !isByKey) return;
  if (isChosen) state.isPinned = !(state.isPinned && isSame);
  if (state.isPinned) document.getElementById("sheet").setAttribute("aria-expanded", true);
  if (!isSame) state.chosen = null;
  state.unit = unit;
  schedule(explain);
}

/** Shows the value that is looked at in numbers, and outlines what it sees on every layer. */
function explain() {
  const { unit, values, isPinned } = state;
  document.body.classList.toggle("pinned", isPinned);
  const parts = unit ? receptiveFields(unit) : new Map();
  views.forEach((view, index) => view.mark(parts.get(index) ?? null, unit?.step === index));
  if (!unit) return;
  const winner = winnerOf(unit, values);
  if (winner) views[winner.step].dot(winner);
  const maps = linkedMaps();
  document.getElementById("worked-body").replaceChildren(
    ...worked(unit, values, image.pixels, maps[0], (map) => {
      state.chosen = map;
      explain();
      document.querySelector("#worked [aria-pressed=true]")?.focus();
    }),
    hint(),
  );
  const shape = STEPS[unit.step].shape;
  document.getElementById("said").textContent =
    `${placeName(unit)}: ${numeral(values[unit.step][indexOf(shape, unit.map, unit.row, unit.column)])}`;
  drawLinks(views, unit, maps);
}

/** Returns the input maps that lines lead to: first the one whose window is shown, then those that bring the most. */
function linkedMaps() {
  const maps = strongest(state.unit, state.values, LINKED);
  return state.chosen === null ? maps : [state.chosen, ...maps.filter((map) => map !== state.chosen)];
}

function hint() {
  const { step } = state.unit;
  const field = receptiveFields(state.unit).get(0);
  const sees = field && step ? `It sees ${field.bottom - field.top + 1}×${field.right - field.left + 1} pixels of the image. ` : "";
  return note(`${sees}${state.isPinned ? "Held: click again or press Esc to let go." : "Click or press Enter to hold it."}`);
}

/** The section of the person's own filter. */
function makeOwn() {
  const view = new MapsView(own, look, OWN_TILE);
  const editor = makeFilterEditor(own, compute);
  const details = makeFilterSection(own, view, editor);
  views[own.index] = view;
  const section = { steps: [own], details, strip: null, editor };
  details.addEventListener("toggle", () => {
    layOutSection(section);
    drawSection(section);
    explain();
  });
  return section;
}

function layOut() {
  const room = document.getElementById("image").clientWidth;
  image.layOut(Math.max(120, room));
  sections.forEach(layOutSection);
  if (state.values.length) {
    image.draw();
    sections.forEach(drawSection);
    explain();
  }
}

async function open(file) {
  try {
    show(await readPhoto(file), null, file.name);
  } catch {
    document.getElementById("sample").textContent = `${file.name} is no image that this browser can read`;
  }
}

function listen() {
  document.getElementById("clear").addEventListener("click", () => show(new Float32Array(image.pixels.length), null, ""));
  document.getElementById("file").addEventListener("change", (event) => event.target.files[0] && open(event.target.files[0]));
  document.getElementById("unfold").addEventListener("click", () => sections.forEach(({ details }) => (details.open = true)));
  document.getElementById("fold").addEventListener("click", () => sections.forEach(({ details }) => (details.open = false)));
  document.getElementById("sheet").addEventListener("click", (event) => {
    const isOpen = event.currentTarget.getAttribute("aria-expanded") === "true";
    event.currentTarget.setAttribute("aria-expanded", !isOpen);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && state.isPinned) look(state.unit, true);
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => event.clipboardData.files[0] && open(event.clipboardData.files[0]));
  addEventListener("scroll", () => schedule(linksAgain), { passive: true });
  addEventListener("resize", () => schedule(layOut));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
}

function linksAgain() {
  if (state.unit) drawLinks(views, state.unit, linkedMaps());
}

function repaint() {
  readColours();
  drawLegend();
  sections[0].editor.repaint();
  compute();
}

/** Returns a value to begin with: the largest in the middle of the first convolution's maps, or of the first step. */
function firstUnit() {
  const step = STEPS.find(({ op }) => op === "conv") ?? STEPS[1];
  const values = state.values[step.index];
  const [, rows, columns] = step.shape;
  let best = { step: step.index, map: 0, row: 0, column: 0, value: -Infinity };
  eachPlace(step.shape, (map, row, column, at) => {
    const isInMiddle = 4 * row >= rows - 1 && 4 * row < 3 * rows && 4 * column >= columns - 1 && 4 * column < 3 * columns;
    if (isInMiddle && values[at] > best.value) best = { ...best, map, row, column, value: values[at] };
  });
  const { value, ...unit } = best;
  return unit;
}

function start() {
  readColours();
  drawLegend();
  writeHead();
  const found = groups();
  found.forEach((steps, i) => {
    const isOpen = found.length <= OPEN_AT_MOST || i < 1 || i >= found.length - 2;
    sections.push(makeSection(steps, isOpen));
  });
  sections.unshift(makeOwn());
  document.getElementById("sections").append(...sections.map(({ details }) => details));
  document.getElementById("image").replaceWith(Object.assign(image.element, { id: "image" }));
  const pen = document.getElementById("pen");
  pen.max = WALK.side / 4;
  pen.value = WALK.side / 8;
  document.getElementById("sheet").setAttribute("aria-expanded", innerWidth >= 720);
  document.getElementById("ink").hidden = WALK.channels === 1;
  makeSamples(choose);
  layOut();
  if (WALK.samples.length) choose(0);
  else show(new Float32Array(image.pixels.length), null, "");
  look(firstUnit(), false);
  listen();
}

start();
