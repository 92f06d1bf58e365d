"""A trained network measured on prepared images: metrics.json, tables for DVC's plots, one picture."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.figures.overview import overview
from pipeline.analysis.filters import colour_limit, filter_mosaic
from pipeline.analysis.scores import Labels, Score, confusion, hardest, score
from pipeline.analysis.views import PLAIN
from pipeline.answers import Answers, answers
from pipeline.bundle import Bundle
from pipeline.config.schema import Evaluate
from pipeline.dataset.csv_file import write_csv
from pipeline.dataset.manifest import SPLITS
from pipeline.dataset.names import shown


def write_report(bundle: Bundle, prepared: Path, reports: Path, config: Evaluate) -> dict[str, Score]:
    """Write every file of reports/; return split -> score. Several views are asked for where they count, beyond the training images."""
    classes = bundle.manifest.classes
    views = dict.fromkeys(SPLITS, config.views) | {"train": PLAIN}
    told = {split: answers(bundle, prepared, split, config.batch_size, views[split]) for split in SPLITS}
    scores = {split: score(given.labels, given.probabilities, config.confidence) for split, given in told.items()}
    test = told["test"]
    table = confusion(test.labels, test.predictions, len(classes))
    _write_metrics(reports / "metrics.json", scores, bundle, config.views)
    _write_confusion(reports / "confusion.csv", test.labels, test.predictions, classes)
    _write_classes(reports / "classes.csv", table, classes)
    _write_curves(reports / "curves.csv", bundle)
    _write_predictions(reports / "predictions.csv", test)
    overview(
        reports / "overview.png",
        f"{bundle.config['model']['name']} on {shown(bundle.manifest.dataset)}: test accuracy {scores['test'].accuracy:.4f}",
        bundle.history,
        bundle.best_epoch,
        table,
        classes,
        None if bundle.filters is None else filter_mosaic(bundle.filters[bundle.best_epoch], colour_limit(bundle.filters[0])),
        test.examples(hardest(test.labels, test.probabilities, config.hardest)),
    )
    return scores


def _write_metrics(path: Path, scores: dict[str, Score], bundle: Bundle, views: str) -> None:
    tree: dict[str, object] = {split: asdict(score) for split, score in scores.items()}
    tree["model"] = {"parameters": bundle.parameters, "best_epoch": bundle.best_epoch}
    tree["views"] = views
    path.write_text(json.dumps(tree, indent=2) + "\n")


def _write_confusion(path: Path, labels: Labels, predictions: Labels, classes: list[str]) -> None:
    write_csv(path, ["actual", "predicted"], [[classes[a], classes[p]] for a, p in zip(labels, predictions, strict=True)])


def _write_classes(path: Path, table: NDArray[np.int64], classes: list[str]) -> None:
    rows = []
    for i, name in enumerate(classes):
        right, actual, said = int(table[i, i]), int(table[i].sum()), int(table[:, i].sum())
        rows.append([name, actual, right, f"{right / actual:.4f}", f"{right / said:.4f}" if said else ""])
    write_csv(path, ["class", "images", "right", "recall", "precision"], rows)


def _write_curves(path: Path, bundle: Bundle) -> None:
    names = ["epoch", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate"]
    write_csv(path, names, [[row[name.replace("_", "/") if name != "learning_rate" else name] for name in names] for row in bundle.history])


def _write_predictions(path: Path, test: Answers) -> None:
    rows: list[list[object]] = []
    for i in range(len(test.labels)):
        example = test.example(i)
        rows.append([example.source, example.actual, example.predicted, f"{example.probability:.4f}"])
    write_csv(path, ["path", "actual", "predicted", "probability"], rows)
