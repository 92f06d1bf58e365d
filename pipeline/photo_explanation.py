"""Explain a network's answer for one photo: its feature maps, and what speaks for a class in it."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.analysis.activations import feature_maps, layer_names, rows
from pipeline.analysis.attribution import grad_cam, guided_backprop, integrated_gradients, last_maps, saliency
from pipeline.analysis.figures.attribution import Attributions, attribution_page, grad_cam_page
from pipeline.analysis.figures.feature_maps import ClassBars, feature_map_page
from pipeline.analysis.gradients import has_relu
from pipeline.analysis.occlusion import occlusion
from pipeline.analysis.unit_layers import strips
from pipeline.bundle import Bundle
from pipeline.dataset.names import shown
from pipeline.dataset.normalise import normalised

SQUARE = 4  # parts of the image's side that are covered at once; Zeiler and Fergus do not say theirs
PLACES = 32  # of the square along a side, at most
BARS = 10  # most probable classes shown
MAPS, ROWS = 16, 6  # shown of each layer; convolutions shown
UNITS = 256  # shown of each fully connected layer

Image = NDArray[np.uint8]  # (H, W, C)


def explain_photo(bundle: Bundle, image: Image, name: str, target: str | None, folder: Path, stem: str) -> list[Path]:
    """Draw what speaks for a class, and the feature maps, of an image as the network sees it; return the files.

    name: of the photo, for the titles; target: the class asked about; None: the most probable."""
    classes = bundle.manifest.classes
    layers, probabilities = feature_maps(bundle.predictor(), torch.from_numpy(image)[None], MAPS)
    outcome = class_bars(probabilities, classes, BARS, None)
    said = outcome.predicted
    title = f"{shown(name)}: predicted {shown(said)} with {probabilities.max():.2f}"
    question = f"; what in the image points to {shown(target)}?" if target not in (None, said) else ""
    files = [folder / f"{stem}-attributions.png", folder / f"{stem}-feature_maps.png"]
    attribution_page(files[0], title + question, attributions(bundle, image, target or said, PLACES), outcome, classes)
    units = strips(bundle.predictor(), torch.from_numpy(image)[None], UNITS)
    feature_map_page(files[1], title, image, rows(layers, ROWS), outcome, units)
    return files


def draw_grad_cam(bundle: Bundle, image: Image, name: str, probabilities: list[float], picture: Path) -> bool:
    """Draw where in an image as the network sees it the most probable class is seen; return whether the network has maps to look at.

    name: of the photo, for the title; probabilities: as they were predicted for it."""
    predictor = bundle.predictor()
    outcome = class_bars(np.array(probabilities, np.float32), bundle.manifest.classes, BARS, None)
    inputs = normalised(torch.from_numpy(image)[None], predictor.mean, predictor.std)
    layer = last_maps(bundle.network, inputs)
    if layer is None:
        return False
    heat = grad_cam(bundle.network, layer, inputs, bundle.manifest.classes.index(outcome.predicted)).numpy()
    title = f"{shown(name)}: predicted {shown(outcome.predicted)} with {max(probabilities):.2f}"
    grad_cam_page(picture, title, image, layer_names(bundle.network)[layer], heat, outcome)
    return True


def class_bars(probabilities: NDArray[np.float32], classes: list[str], most: int, actual: str | None) -> ClassBars:
    """Return the bars of all classes in order, or of the `most` most probable ones, the most probable first. actual: class, if known."""
    order = np.argsort(-probabilities, kind="stable")[:most].tolist()
    bars = sorted(order) if len(order) == len(classes) else order
    return ClassBars({classes[i]: float(probabilities[i]) for i in bars}, actual, classes[order[0]])


def attributions(bundle: Bundle, image: Image, target: str, places: int) -> Attributions:
    """Compute what speaks for a class in an image (H, W, C) of 0..255.

    places: of the square that covers a part of it, along a side, at most."""
    predictor, network, number = bundle.predictor(), bundle.network, bundle.manifest.classes.index(target)
    inputs = normalised(torch.from_numpy(image)[None], predictor.mean, predictor.std)  # (1, C, H, W)
    layer, side = last_maps(network, inputs), max(1, image.shape[0] // SQUARE)
    guided = guided_backprop(network, inputs, number)[0].permute(1, 2, 0).numpy() if has_relu(network) else None
    return Attributions(
        target=target,
        image=image,
        saliency=saliency(network, inputs, number)[0].numpy(),
        integrated=integrated_gradients(network, inputs, number).sum(dim=1)[0].numpy(),
        guided=guided,
        grad_cam=None if layer is None else grad_cam(network, layer, inputs, number).numpy(),
        layer=None if layer is None else layer_names(network)[layer],
        occlusion=occlusion(network, inputs, number, layer, side, stride=-(-image.shape[0] // places)),
        square=side,
    )
