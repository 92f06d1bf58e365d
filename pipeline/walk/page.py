"""Write the walk: one HTML file that holds a network, some images and the code to run it, and needs nothing beside it."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment
from numpy.typing import NDArray
from torch import Tensor

from pipeline.analysis.metrics import Labels
from pipeline.bundle import Bundle, Predictor
from pipeline.config.explain_schema import Walk
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.normalise import middle, normalised
from pipeline.inference import sources
from pipeline.walk.graph import Step, steps_of
from pipeline.walk.steps import UnsupportedError

PAGE = Path(__file__).with_name("page")
SCRIPTS = (
    *("values", "windows", "products", "operations", "network", "colours", "maps", "links", "terms", "numbers", "worked", "answer"),
    *("drawing", "photo", "head", "filter", "sections", "walk"),
)  # in this order
FLOAT = 4  # bytes

Image = NDArray[np.uint8]  # (H, W, C)


@dataclass(frozen=True)
class Sample:
    """An image to choose on the page."""

    image: Image  # as the network sees it
    label: str  # its class
    source: str  # its file


def write_walk(bundle: Bundle, samples: Sequence[Sample], page: Path) -> None:
    """Write the page of a network. Raises UnsupportedError, naming what the network computes and the page does not."""
    predictor, side = bundle.predictor(), bundle.predictor().side or bundle.manifest.size
    images = [sample.image for sample in samples] or [np.zeros((side, side, bundle.manifest.channels), np.uint8)]
    seen = normalised(torch.from_numpy(np.stack(images)), predictor.mean, predictor.std)  # (n, C, H, W)
    steps = steps_of(bundle.network, seen[:1])
    weights, places = packed(steps)
    with torch.inference_mode():
        scores = predictor.network(seen)
    _fill(page, {**description(bundle, predictor, side), "steps": places, "samples": described(samples, scores)}, weights, np.stack(images))


def write_walk_or_note(bundle: Bundle, prepared: Path, page: Path, config: Walk) -> str | None:
    """Write the page, or one that says why there is none; return that reason."""
    megabytes = bundle.parameters * FLOAT / 1e6
    if megabytes > config.megabytes:
        reason = (
            f"its weights are {megabytes:.0f} MB, and explain.walk.megabytes={config.megabytes:g}; raise it, or write the page by itself: "
            "python -m pipeline.command.walk"
        )
    else:
        try:
            write_walk(bundle, samples_of(bundle, prepared, config.samples), page)
        except UnsupportedError as error:
            reason = lacking(error)
        else:
            return None
    _write_note(page, bundle.config["model"]["name"], reason)
    return reason


def lacking(error: UnsupportedError) -> str:
    """Say what the page can't compute."""
    return f"this page can't compute {error}; pipeline/walk/translation.py says what it can, and where to add to it"


def _write_note(page: Path, network: str, reason: str) -> None:
    template = Environment(autoescape=True).from_string((PAGE / "note.html").read_text())
    page.write_text(template.render(network=network, reason=reason), encoding="utf-8")


def description(bundle: Bundle, predictor: Predictor, side: int) -> dict[str, Any]:
    """Return what the page has to know of a network beside its steps."""
    manifest = bundle.manifest
    return {
        "network": bundle.config["model"]["name"],
        "dataset": manifest.dataset,
        "parameters": bundle.parameters,
        "epoch": bundle.best_epoch,
        "accuracy": bundle.validation.get("validation/accuracy"),
        "classes": manifest.classes,
        "side": side,  # pixels, of what the network sees
        "stored": manifest.size,  # pixels, of what a photo is resized to before its middle is cut out
        "channels": manifest.channels,
        "method": manifest.method,
        "background": bundle.decoding().background,
        "mean": predictor.mean.tolist(),
        "std": predictor.std.tolist(),
    }


def packed(steps: Sequence[Step]) -> tuple[bytes, list[dict[str, Any]]]:
    """Return all weights in one row of float32, and the steps with the place and shape of each of theirs."""
    parts: list[Tensor] = []
    length = 0
    described = []
    for step in steps:
        places = {}
        for name, tensor in step.made.tensors.items():
            places[name] = [length, list(tensor.shape)]
            parts.append(tensor.detach().float().flatten())
            length += tensor.numel()
        inputs = [source.step for source in step.made.inputs]
        what = {"name": step.name, "label": step.label, "op": step.made.op, "inputs": inputs, "shape": list(step.shape)}
        described.append({**what, **step.made.options, "tensors": places})
    return (torch.cat(parts).numpy().astype("<f4").tobytes() if parts else b""), described


def described(samples: Sequence[Sample], scores: Tensor) -> list[dict[str, Any]]:
    """Return what the page says of each sample; torch's scores are there to be compared with."""
    rows = zip(samples, scores.tolist(), strict=False)
    return [{"label": sample.label, "source": sample.source, "scores": row} for sample, row in rows]


def samples_of(bundle: Bundle, prepared: Path, most: int) -> list[Sample]:
    """Return validation images to choose from, class by class; none from images that the network was not trained on.

    Looking at test images would leak them into tuning."""
    if not (prepared / "manifest.json").exists() or Manifest.read(prepared).data_digest != bundle.manifest.data_digest:
        return []
    images, files = np.load(prepared / "validation.npy", mmap_mode="r"), sources(prepared, "validation")
    labels: Labels = np.load(prepared / "validation_labels.npy")
    classes, side = bundle.manifest.classes, bundle.predictor().side
    chosen = sorted(in_turn(labels, most), key=lambda index: int(labels[index]))
    return [Sample(np.array(middle(images[i][None], side)[0]), classes[labels[i]], files[i]) for i in chosen]


def in_turn(labels: Labels, most: int) -> list[int]:
    """Return the indices of at most `most` images: the first of each class, then the second of each, and so on. labels: (N,)."""
    each = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]
    return [index for turn in zip_longest(*each) for index in turn if index is not None][:most]


def _fill(page: Path, network: dict[str, Any], weights: bytes, images: NDArray[np.uint8]) -> None:
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((PAGE / "walk.html").read_text())
    text = template.render(
        title=f"{network['network']} on {network['dataset']}",
        style=(PAGE / "walk.css").read_text(),
        scripts=[(PAGE / f"{name}.js").read_text() for name in SCRIPTS],
        network=json.dumps(network).replace("<", "\\u003c"),  # so that no name can end the script
        weights=base64.b64encode(weights).decode(),
        images=base64.b64encode(images.tobytes()).decode(),
    )
    page.write_text(text, encoding="utf-8")
