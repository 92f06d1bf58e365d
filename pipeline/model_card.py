"""Write a model card: what a trained network is for, how good it is, what its limits are, how to use it.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.metrics import Score, exact_interval
from pipeline.analysis.tta import PLAIN
from pipeline.bundle import Bundle, debugging
from pipeline.config.schema import Evaluate
from pipeline.config.splits import SPLITS
from pipeline.config.wording import counted
from pipeline.dataset.manifest import doubt
from pipeline.dataset.names import first_of, shown

MOST_CLASSES = 20  # rows of the table of classes: of more, those with the lowest recall
FEW_IMAGES = 100  # test images of a class: 95 % intervals of its recall are then some 10 points wide or more
WORST = 3  # mistakes between classes that are named
SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_[]<>|#&"})  # to Markdown


def model_card(bundle: Bundle, scores: dict[str, Score], table: NDArray[np.int64], config: Evaluate) -> str:
    """Return the card in Markdown, with the pictures of reports/ by relative links.

    scores: of each split. table: confusion matrix of the test images, row = actual. config: how they were scored."""
    model, data = bundle.config["model"]["name"], plain(bundle.manifest.dataset)
    parts = {
        f"# {plain(model)} on {data}": _summary(bundle, scores["test"], config),
        "## Use": _use(bundle),
        "## Scores": _scores(bundle, scores, table, config),
        "## Limits": (f"- {limit}" for limit in _limits(bundle, scores["test"], table, config)),
        "## Data": _data(bundle),
        "## Training": _training(bundle),
    }
    return "\n\n".join(f"{heading}\n\n" + "\n".join(lines) for heading, lines in parts.items()) + "\n"


def plain(name: str, most: int = 80) -> str:
    """Return a name that Markdown shows as it is, on one line."""
    return shown(name, most).translate(SPECIAL)


def _summary(bundle: Bundle, test: Score, config: Evaluate) -> Iterator[str]:
    low, high = test.accuracy_interval
    yield (
        f"Classifies photos as {first_of(bundle.manifest.classes, 10, plain)}. Test accuracy **{test.accuracy:.4f}** "
        f"({config.confidence:.0%} interval {low:.4f} to {high:.4f}, {counted(test.images, 'image')})."
    )
    if debug := debugging(bundle.config):
        yield f"\n**A debug run ({plain(debug)}): its scores compare with no other's.**"


def _use(bundle: Bundle) -> Iterator[str]:
    yield f"Meant for photos like those of {plain(bundle.manifest.dataset)}, each of one of its classes.\n"
    yield "```sh"
    yield "python -m pipeline.command.predict PHOTO…   # a table; --format csv or json for programs"
    yield "python -m pipeline.command.explain PHOTO…   # what spoke for the answer"
    yield "```\n"
    height, width, channels = bundle.manifest.image_shape
    yield (
        f"A photo is brought to {width} x {height} pixels ({bundle.manifest.method}), in {'gray' if channels == 1 else 'colour'}, "
        "and normalised by the mean and deviation of the training images; the bundle holds both, so nothing else is to be set."
    )


def _scores(bundle: Bundle, scores: dict[str, Score], table: NDArray[np.int64], config: Evaluate) -> Iterator[str]:
    yield f"| split | images | accuracy | {config.confidence:.0%} interval | macro F1 | loss | calibration error |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for split in SPLITS:
        part = scores[split]
        low, high = part.accuracy_interval
        yield (
            f"| {split} | {part.images:,} | {part.accuracy:.4f} | {low:.4f} to {high:.4f} "
            f"| {part.macro_f1:.4f} | {part.loss:.4f} | {part.ece:.4f} |"
        )
    rows = sorted(np.flatnonzero(table.sum(axis=1)), key=lambda i: table[i, i] / table[i].sum())[:MOST_CLASSES]
    of = f"the {len(rows)} classes of the lowest recall" if len(rows) < len(bundle.manifest.classes) else "each class"
    yield f"\nTest images of {of}, the weakest first:\n"
    yield f"| class | images | recall | {config.confidence:.0%} interval | precision |"
    yield "|---|---:|---:|---:|---:|"
    for i in rows:
        right, images, said = int(table[i, i]), int(table[i].sum()), int(table[:, i].sum())
        low, high = exact_interval(right, images, config.confidence)
        precision = f"{right / said:.4f}" if said else "–"
        yield f"| {plain(bundle.manifest.classes[i])} | {images:,} | {right / images:.4f} | {low:.4f} to {high:.4f} | {precision} |"
    yield "\n![Learning curves, confusion matrix, filters and the hardest test images](overview.png)"


def _limits(bundle: Bundle, test: Score, table: NDArray[np.int64], config: Evaluate) -> Iterator[str]:
    manifest = bundle.manifest
    yield "It answers with one of its classes whatever the photo shows; a high probability is no sign that the photo is of any of them."
    yield "It was tested on images of the same source as the training images. On other cameras, places or times expect less."
    yield f"Details that {manifest.size} pixels do not show are not seen" + (", and no colours." if manifest.channels == 1 else ".")
    if few := [name for name, images in zip(manifest.classes, table.sum(axis=1), strict=True) if images < FEW_IMAGES]:
        yield f"Fewer than {FEW_IMAGES} test images: {first_of(few, 5, plain)}. Their recall is known to some ten points at best."
    if worst := list(_mistakes(table)):
        told = ", ".join(
            f"{plain(manifest.classes[actual])} taken for {plain(manifest.classes[said])} ({counted(number, 'time')})"
            for actual, said, number in worst
        )
        yield f"Most frequent mistakes: {told}."
    yield f"Its probability of an answer and the share of right answers differ by {100 * test.ece:.1f} points on average."
    if uncertain := doubt(manifest):
        yield f"Uncertain choice of the epoch: {uncertain}.".replace("..", ".")
    if config.tta != PLAIN:
        yield f"Validation and test scores average several views of each image (evaluate.tta={config.tta}); `predict` does so with --tta."
    yield "No licence is recorded with it: those of its images, and of weights that it started from, apply."


def _mistakes(table: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Yield (actual, predicted, images) of the most frequent mistakes."""
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    for place in np.argsort(-wrong, axis=None, kind="stable")[:WORST].tolist():
        actual, said = divmod(place, len(wrong))
        if wrong[actual, said]:
            yield actual, said, int(wrong[actual, said])


def _data(bundle: Bundle) -> Iterator[str]:
    manifest = bundle.manifest
    counts = ", ".join(f"{manifest.images(split):,} for {split}" for split in SPLITS)
    yield f"{plain(manifest.dataset)}: {counts}, in {counted(len(manifest.classes), 'class', 'classes')}."
    yield f"{counted(manifest.refused, 'file')} could not be used; {counted(manifest.left_out, 'near-duplicate')} of later splits left out."
    yield f"Digest of the images and classes: `{manifest.data_digest}`."


def _training(bundle: Bundle) -> Iterator[str]:
    config = bundle.config
    yield (
        f"{plain(config['model']['name'])} of {counted(bundle.parameters, 'parameter')}, trained by {plain(config['optimizer']['name'])} "
        f"for {counted(len(bundle.history), 'epoch')} with batches of {config['training']['batch_size']} and seed {config['seed']}; "
        f"its weights are those of epoch {bundle.best_epoch}, the best by {config['training']['monitor']}."
    )
    if source := config["weights"]["source"]:
        yield f"It started from the weights {plain(source)}."
    yield f"Digest of the bundle, which holds the whole config: `{bundle.digest}`."
