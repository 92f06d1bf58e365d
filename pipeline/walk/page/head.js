"use strict";
// The top of the page: what network this is, images to choose from, and the scale of colours.

function writeHead() {
  const { network, dataset, parameters, accuracy, side, channels } = WALK;
  document.getElementById("title").textContent = `${network} on ${dataset}`;
  const right = accuracy === null ? "" : ` · ${percent(accuracy)} of the validation images right`;
  const seen = `${side}×${side} ${channels === 1 ? "gray" : "colour"} pixels in, ${WALK.classes.length} classes out`;
  document.getElementById("facts").textContent = `${parameters.toLocaleString("en")} parameters · ${seen}${right}`;
}

/** Shows the samples as a list to choose from. choose(number): called with the one that is chosen. */
function makeSamples(choose) {
  const list = document.getElementById("samples");
  document.getElementById("samples-panel").hidden = !WALK.samples.length;
  list.append(
    ...WALK.samples.map(({ label, source }, number) => {
      const option = make("button", { type: "button", role: "option", tabindex: number ? -1 : 0, title: source, "aria-label": `${label}, ${source}` });
      option.append(pixelPicture(sampleOf(number)), make("span", {}, label));
      option.addEventListener("click", () => choose(number));
      return option;
    }),
  );
  list.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!move) return;
    const options = [...list.children];
    const next = options[(options.indexOf(document.activeElement) + move + options.length) % options.length];
    next.focus();
    next.click();
    event.preventDefault();
  });
}

function drawLegend() {
  const context = document.getElementById("legend").getContext("2d");
  for (let x = 0; x < 121; x++) {
    context.fillStyle = cssColour(x - 60, 60);
    context.fillRect(x, 0, 1, 10);
  }
}
