"use strict";
// The network's answer: the probabilities as bars, and how it compares with torch's.

const MOST_BARS = 10;
const CLOSE = 1e-4; // largest difference from torch's scores, relative to the largest score, that is called equal

/** Shows the probabilities. label: the image's class, if it is known. */
function showAnswer(probabilities, label) {
  const order = Array.from(probabilities.keys()).sort((one, other) => probabilities[other] - probabilities[one]);
  const shown = order.slice(0, MOST_BARS);
  if (WALK.classes.length <= MOST_BARS) shown.sort((one, other) => one - other);
  const bars = shown.map((index) => {
    const share = probabilities[index];
    const bar = make("li", { class: index === order[0] ? "best" : undefined, style: `--share: ${(share * 100).toFixed(2)}%` });
    bar.append(make("span", { class: "class" }, WALK.classes[index]), make("i", {}), make("span", { class: "share" }, percent(share)));
    return bar;
  });
  document.getElementById("bars").replaceChildren(...bars);
  const said = WALK.classes[order[0]];
  const verdict = label === null ? "" : label === said ? " — right" : ` — wrong, it is ${label}`;
  document.getElementById("answer").replaceChildren(make("b", {}, said), ` ${percent(probabilities[order[0]])}${verdict}`);
}

function percent(share) {
  return share >= 0.9995 ? "100 %" : share < 0.0005 ? "0 %" : `${(share * 100).toFixed(1)} %`;
}

/** Says how far the scores are from those that torch gave for the same image. */
function compareWithTorch(scores, expected) {
  const difference = limitOf(scores.map((score, i) => score - expected[i]));
  const isEqual = difference <= CLOSE * Math.max(1, limitOf(expected));
  const check = document.getElementById("check");
  check.textContent = isEqual
    ? `computed in your browser; PyTorch's scores differ by ${difference.toExponential(0)} at most`
    : `this page's scores differ from PyTorch's by ${difference.toExponential(1)}: it does not compute what the network does`;
  check.className = isEqual ? "" : "wrong";
  check.dataset.difference = difference;
}
