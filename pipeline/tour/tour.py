"""All pages in their order: from an image as numbers to the networks by name."""

from pathlib import Path

from pipeline.tour import (
    activations,
    choices,
    convolution,
    curve_detector,
    errata,
    feature_maps,
    filter_count,
    first_weights,
    image,
    kernels,
    learning,
    learning_rate,
    networks,
    pooling,
    receptive_field,
    sizes,
    softmax,
)
from pipeline.tour.material import Material
from pipeline.tour.page import write_index, write_page

PAGES = tuple(
    page.PAGE
    for page in (
        image,
        curve_detector,
        convolution,
        kernels,
        sizes,
        feature_maps,
        activations,
        pooling,
        receptive_field,
        softmax,
        learning,
        learning_rate,
        filter_count,
        first_weights,
        choices,
        networks,
        errata,
    )
)


def write_tour(folder: Path, material: Material) -> None:
    """Write all pages into a folder, which exists; a page's name is printed when it is begun."""
    for index, page in enumerate(PAGES):
        print(f"{index + 1} of {len(PAGES)}: {page.title}", flush=True)
        write_page(folder, PAGES, index, material)
    about = (
        f"What happens in a CNN, step by step. The numbers on these pages were computed when they were made. "
        f"{material.photo.about} Trainings use {material.lesson.about}; they begin from seed {material.seed}. "
        "`python -m pipeline.command.tour` makes the pages on your prepared images."
    )
    write_index(folder, PAGES, "A tour of convolutional networks", about)
