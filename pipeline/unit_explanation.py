"""Explain a network's units in pictures: what they look for in validation images, how they work there, and the images that classes like."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.analysis.activations import label_of, representative
from pipeline.analysis.exciting import Exciting, more_exciting
from pipeline.analysis.figures.file_names import stem_of
from pipeline.analysis.figures.maximisation import MadeImage, made_page
from pipeline.analysis.figures.unit_statistics import LayerUnits, unit_statistics_page
from pipeline.analysis.figures.units import GRID, UnitCrops, unit_page
from pipeline.analysis.gradients import Unit, deconvnet, way_of
from pipeline.analysis.maximisation import TABLE_1, maximised
from pipeline.analysis.metrics import Labels
from pipeline.analysis.receptive_field import Reach, reaches
from pipeline.analysis.unit_layers import UnitLayer, unit_layers, watch
from pipeline.analysis.units import Activities, cosines, opposite, redundant
from pipeline.bundle import Bundle
from pipeline.config.explain_schema import Maximisation, Units
from pipeline.config.wording import counted
from pipeline.dataset.names import shown
from pipeline.dataset.normalise import middle, normalised
from pipeline.dataset.progress import IMAGES, Progress
from pipeline.dataset.progress import Unit as Counted
from pipeline.inference import INTERVAL, Images

MOST = GRID * GRID  # images of a unit
STEPS = Counted("steps", 1, 0)


def write_unit_pictures(bundle: Bundle, images: Images, labels: Labels, pictures: Path, config: Units, batch: int) -> None:
    """Draw a page for each of some layers, and one of the statistics of their units; nothing if there are no such layers or images.

    images, labels: of validation, of which config.images are looked at, evenly over all. batch: images per forward pass."""
    chosen = np.unique(np.linspace(0, len(images) - 1, min(config.images, len(images))).round().astype(int))
    seen = middle(images[chosen], bundle.predictor().side)  # (N, H, W, C)
    layers = _layers(bundle, seen, config.layers) if len(seen) and config.layers else []
    if not layers:
        return
    exciting, activities = _looked_at(bundle, layers, seen, torch.from_numpy(labels[chosen]), batch)
    fields = reaches(bundle.network, seen.shape[3], seen.shape[1])
    progress = Progress("projecting what excites units", len(layers) * config.units * MOST, IMAGES, INTERVAL)
    for number, (layer, found) in enumerate(zip(layers, exciting, strict=True), start=1):
        reach = fields.get(_dotted(bundle, layer)) if layer.size else None
        units = [_crops(bundle, layer, unit, found, seen, reach) for unit in range(min(config.units, layer.units))]
        progress.add(sum(len(unit.images) for unit in units))
        few = f"the first {config.units} of {layer.units}" if layer.units > config.units else f"all {layer.units}"
        title = f"What units of {shown(layer.name)} look for ({few}): what excites each most in {counted(len(seen), 'validation image')}"
        unit_page(pictures / f"units-{number}-{stem_of(layer.name)}.png", title, units, way_of(bundle.network))
    statistics = [_statistics(layer, done) for layer, done in zip(layers, activities, strict=True)]
    title = f"Unit activity on {counted(len(seen), 'validation image')}"
    unit_statistics_page(pictures / "unit_statistics.png", title, statistics, bundle.manifest.classes)


def write_made_images(bundle: Bundle, side: int, pictures: Path, config: Maximisation) -> None:
    """Draw images made from noise that classes' scores like. side: of the network's images, in pixels."""
    predictor, classes = bundle.predictor(), bundle.manifest.classes
    count, by = min(config.classes, len(classes)), replace(TABLE_1[config.regularisers - 1], steps=config.steps)
    if not count:
        return
    progress = Progress("making images that classes like", config.steps, STEPS, INTERVAL)
    target, mean, std = Unit(torch.arange(count)), predictor.mean, predictor.std
    made = maximised(bundle.network, target, count, side, mean, std, by, tell=progress.add)  # (count, C, H, W)
    pixels = made.permute(0, 2, 3, 1).round().byte()
    with torch.inference_mode():
        sure, said = bundle.network(normalised(pixels, mean, std)).softmax(dim=1).max(dim=1)
    each = zip(classes, pixels.numpy(), said.tolist(), sure.tolist(), strict=False)
    made_images = [MadeImage(name, image, classes[answer], probability) for name, image, answer, probability in each]
    few = f"the first {count} of {len(classes)} classes" if count < len(classes) else counted(count, "class", "classes")
    title = f"What {few} look like to the network: images optimised from noise to raise the class's score"
    made_page(pictures / "made_images.png", title, made_images, f"{counted(config.steps, 'step')} of gradient ascent")


def _layers(bundle: Bundle, images: Images, most: int) -> list[UnitLayer]:
    found = unit_layers(bundle.network, _inputs(bundle, images[:1]))
    return [found[i] for i in representative([layer.size for layer in found], most)]


def _inputs(bundle: Bundle, images: Images) -> Tensor:
    """Return images as the network takes them, (B, C, H, W)."""
    predictor = bundle.predictor()
    return normalised(torch.from_numpy(np.ascontiguousarray(images)), predictor.mean, predictor.std)


def _looked_at(
    bundle: Bundle, layers: list[UnitLayer], images: Images, labels: Tensor, batch: int
) -> tuple[list[Exciting], list[Activities]]:
    """Return each layer's most exciting images and what its units do."""
    exciting, activities = dict[str, Exciting](), {layer.name: Activities(len(bundle.manifest.classes)) for layer in layers}
    progress = Progress("looking for what excites units", len(images), IMAGES, INTERVAL)
    for first in range(0, len(images), batch):
        several = images[first : first + batch]

        def look(layer: UnitLayer, outputs: Tensor, first: int = first) -> None:
            exciting[layer.name] = more_exciting(exciting.get(layer.name), outputs, first, MOST)
            activities[layer.name].add(outputs, labels[first : first + batch])

        watch(bundle.network, layers, _inputs(bundle, several), look)
        progress.add(len(several))
    return [exciting[layer.name] for layer in layers], list(activities.values())


def _dotted(bundle: Bundle, layer: UnitLayer) -> str:
    return next(name for name, module in bundle.network.named_modules() if module is layer.filters)


def _crops(bundle: Bundle, layer: UnitLayer, unit: int, found: Exciting, images: Images, reach: Reach | None) -> UnitCrops:
    """Return the crops and projections of the images that excite a unit. reach: of its values; None: each sees the whole image."""
    values, indices, rows, columns = (part[unit] for part in (found.values, found.images, found.rows, found.columns))
    if layer.has_relu:
        values, indices, rows, columns = (part[values > 0] for part in (values, indices, rows, columns))
    if not len(indices):
        return UnitCrops(f"unit {unit}", [], [], [])
    several = images[indices.numpy()]
    place = (rows, columns) if layer.size else None
    projections = deconvnet(bundle.network, _inputs(bundle, several), Unit(unit, layer.output, place, layer.call))
    projected, side = projections.permute(0, 2, 3, 1).numpy(), images.shape[1]
    whole = (slice(0, side), slice(0, side))
    boxes = [whole if reach is None else reach.box(at, side) for at in zip(rows.tolist(), columns.tolist(), strict=True)]
    return UnitCrops(
        f"unit {unit}",
        values.tolist(),
        [image[box] for image, box in zip(several, boxes, strict=True)],
        [projection[box] for projection, box in zip(projected, boxes, strict=True)],
    )


def _statistics(layer: UnitLayer, found: Activities) -> LayerUnits:
    activity, weight = found.so_far(), layer.filters.get_parameter("weight")
    is_whole = len(weight) == layer.units  # the filters of LeNet-5's second convolution see different maps
    alike = cosines(weight, getattr(layer.filters, "groups", 1)) if is_whole else torch.eye(layer.units)
    return LayerUnits(
        f"{shown(layer.name)}: {label_of(layer.filters)}",
        (1 - activity.zeros).numpy(),
        activity.selectivity.numpy() if layer.has_relu else None,
        activity.favourite.tolist(),
        redundant(alike),
        opposite(alike),
    )
