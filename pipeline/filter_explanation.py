"""Explain a network's filters in pictures: the first convolution's, how each layer's grew in training, and a film of the first one's."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from pipeline.analysis.activations import layer_names
from pipeline.analysis.figures.feature_maps import film_strip
from pipeline.analysis.figures.file_names import stem_of
from pipeline.analysis.filters import (
    READING,
    colour_limit,
    filter_mosaic,
    first_layer,
    largest,
    relative_change,
    slices,
    step_label,
    strip_steps,
    strongest,
)
from pipeline.bundle import Bundle, Filters
from pipeline.config.wording import counted

FILM = "filters.webp"
FRAMES = 120  # of the film at most, evenly over all epochs; of the digits' 30 epochs all
PACE, REST = 150, 2000  # milliseconds of a frame, and of the last one
MOVED = "change: the length of the weights' difference from the first picture, relative to their length there"


def write_filter_pictures(bundle: Bundle, pictures: Path, wanted: list[int]) -> None:
    """Draw the kept filters of the first convolution, and a film strip for each convolution of which filters were kept in training.

    wanted: epochs of the strips, besides the kept one and the last. Nothing is drawn for a network without convolutions."""
    if bundle.filters is None:
        return
    kept, limit = bundle.filters[bundle.best_epoch], colour_limit(bundle.filters[0])
    first_layer(kept, limit, f"{step_label(bundle.best_epoch)}, kept").save(pictures / "filters.png")
    convolutions = {name: layer for name, layer in bundle.network.named_modules() if isinstance(layer, nn.Conv2d)}
    names = layer_names(bundle.network)
    first = names[next(iter(convolutions.values()))]
    _, out, _, height, width = bundle.filters.shape
    title = f"{first}: {counted(out, 'filter')} of {height}×{width} ({READING})"
    steps = strip_steps(list(range(len(bundle.filters))), wanted, bundle.best_epoch, len(bundle.filters) - 1)
    _draw_strip(pictures / "filters_over_time.png", title, {step: bundle.filters[step] for step in steps}, bundle.best_epoch)
    later = [name for name in convolutions if name in next(iter(bundle.layer_filters.values()), {})]
    for number, name in enumerate(later, start=2):
        _draw_later(pictures / f"filters_over_time-{number}-{stem_of(names[convolutions[name]])}.png", bundle, name, wanted)


def write_film(bundle: Bundle, folder: Path) -> None:
    """Write the film of the first convolution's filters, an animated WebP of one scale; nothing for a network without convolutions."""
    if bundle.filters is None:
        return
    first, *others = _film_frames(bundle.filters, bundle.best_epoch)
    paces = [PACE] * len(others) + [REST]
    first.save(folder / FILM, save_all=True, append_images=others, duration=paces, loop=0, lossless=True)


def _film_frames(filters: Filters, best: int) -> Iterator[Image.Image]:
    steps = np.unique(np.linspace(0, len(filters) - 1, min(FRAMES, len(filters))).round().astype(int))
    limit = max(largest(weight) for weight in filters)
    for step in steps.tolist():
        yield first_layer(filters[step], limit, step_label(step) + ", kept" * (step == best))


def _draw_later(path: Path, bundle: Bundle, name: str, wanted: list[int]) -> None:
    """Draw the strip of a later convolution: of each filter the slice that is strongest at the kept epoch.

    name: of its module. The kept epoch's weights are those of the network."""
    weight = bundle.network.get_parameter(f"{name}.weight").detach().numpy()
    parts = {epoch: layers[name].numpy() for epoch, layers in bundle.layer_filters.items()}
    last = max(parts)
    filters, channels, height, width = parts[last].shape
    parts[bundle.best_epoch] = weight[:filters, :channels]
    shown = strongest(parts[bundle.best_epoch])
    steps = strip_steps(list(parts), wanted, bundle.best_epoch, last)
    label = layer_names(bundle.network)[bundle.network.get_submodule(name)]
    few = f"the first {filters} of {len(weight)} filters" if len(weight) > filters else counted(filters, "filter")
    among = f"the first {channels} of {weight.shape[1]}" if weight.shape[1] > channels else f"all {channels}"
    title = f"{label}: {few}, the strongest {height}×{width} slice of each among {among} ({READING})"
    _draw_strip(path, title, {step: slices(parts[step], shown) for step in steps}, bundle.best_epoch)


def _draw_strip(path: Path, title: str, filters: dict[int, Filters], best: int) -> None:
    """Draw filters, (out, in, kh, kw) each, after some epochs on one scale: the largest weight of all. best: the kept epoch."""
    limit, start = max(largest(weight) for weight in filters.values()), min(filters)
    captions = {
        step: f"epoch {step}{', kept' * (step == best)}: change {relative_change(filters[start], weight):.0%}"
        for step, weight in filters.items()
    }
    captions[start] = step_label(start)
    film_strip(path, title, MOVED, [(captions[step], filter_mosaic(weight, limit)) for step, weight in filters.items()], limit)
