"""All pages in their order: from an image as numbers to the networks by name."""

from pathlib import Path

from tour import (
    activations,
    backward,
    choices,
    convolution,
    curve_detector,
    data_and_depth,
    errata,
    feature_maps,
    filter_count,
    first_weights,
    flattening,
    image,
    kernels,
    learning,
    learning_rate,
    looking_inside,
    loss_surface,
    networks,
    pooling,
    receptive_field,
    similar_filters,
    sizes,
    softmax,
    transfer,
    weighting,
)
from tour.material import Material
from tour.page import write_index, write_page

PAGES = tuple(
    page.PAGE
    for page in (
        image,
        weighting,
        curve_detector,
        convolution,
        kernels,
        sizes,
        feature_maps,
        activations,
        pooling,
        receptive_field,
        flattening,
        softmax,
        learning,
        backward,
        loss_surface,
        learning_rate,
        filter_count,
        similar_filters,
        data_and_depth,
        first_weights,
        choices,
        looking_inside,
        transfer,
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
        "`python -m tour` makes the pages on your prepared images."
    )
    write_index(folder, PAGES, "A tour of convolutional networks", about)
