"""A trained network measured on prepared images: metrics.json, tables for DVC's plots, one picture."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.analysis.figures import Example, overview
from pipeline.analysis.filters import filter_mosaic, first_convolution
from pipeline.analysis.scores import Labels, Probabilities, Score, confusion, hardest, score
from pipeline.bundle import Bundle
from pipeline.config.schema import Evaluate
from pipeline.dataset.manifest import SPLITS


def write_report(bundle: Bundle, prepared: Path, reports: Path, config: Evaluate) -> dict[str, Score]:
    """Write every file of reports/; return split -> score."""
    classes = bundle.manifest.classes
    scores: dict[str, Score] = {}
    for split in SPLITS:  # the test split last, so that its predictions are at hand below
        images = np.load(prepared / f"{split}.npy", mmap_mode="r")
        labels: Labels = np.load(prepared / f"{split}_labels.npy")
        probabilities = predicted(bundle, images, config.batch_size)
        scores[split] = score(labels, probabilities, config.confidence)
    predictions = probabilities.argmax(axis=1)
    table = confusion(labels, predictions, len(classes))
    _write_metrics(reports / "metrics.json", scores, bundle)
    _write_confusion(reports / "confusion.csv", labels, predictions, classes)
    _write_classes(reports / "classes.csv", table, classes)
    _write_curves(reports / "curves.csv", bundle)
    _write_predictions(reports / "predictions.csv", prepared, labels, probabilities, classes)
    shown = hardest(labels, probabilities, config.hardest)
    convolution = first_convolution(bundle.network)
    overview(
        reports / "overview.png",
        f"{bundle.config['model']['name']} on {bundle.manifest.dataset}: test accuracy {scores['test'].accuracy:.4f}",
        bundle.history,
        int(bundle.validation["epoch"]),
        table,
        classes,
        filter_mosaic(convolution) if convolution else None,
        [Example(images[i], classes[labels[i]], classes[predictions[i]], float(probabilities[i].max())) for i in shown],
    )
    return scores


def predicted(bundle: Bundle, images: NDArray[np.uint8], batch_size: int) -> Probabilities:
    """Return (N, classes) probabilities for (N, H, W, C) images."""
    predictor = bundle.predictor()
    with torch.inference_mode():
        batches = [predictor(torch.from_numpy(np.array(images[i : i + batch_size]))) for i in range(0, len(images), batch_size)]
    return torch.cat(batches).numpy()


def _write_metrics(path: Path, scores: dict[str, Score], bundle: Bundle) -> None:
    tree = {split: asdict(score) for split, score in scores.items()}
    tree["model"] = {"parameters": bundle.parameters, "best_epoch": int(bundle.validation["epoch"])}
    path.write_text(json.dumps(tree, indent=2) + "\n")


def _write_confusion(path: Path, labels: Labels, predictions: Labels, classes: list[str]) -> None:
    _write_table(path, ["actual", "predicted"], [[classes[a], classes[p]] for a, p in zip(labels, predictions, strict=True)])


def _write_classes(path: Path, table: NDArray[np.int64], classes: list[str]) -> None:
    rows = []
    for i, name in enumerate(classes):
        right, actual, said = int(table[i, i]), int(table[i].sum()), int(table[:, i].sum())
        rows.append([name, actual, right, f"{right / actual:.4f}", f"{right / said:.4f}" if said else ""])
    _write_table(path, ["class", "images", "right", "recall", "precision"], rows)


def _write_curves(path: Path, bundle: Bundle) -> None:
    names = ["epoch", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate"]
    _write_table(
        path, names, [[row[name.replace("_", "/") if name != "learning_rate" else name] for name in names] for row in bundle.history]
    )


def _write_predictions(path: Path, prepared: Path, labels: Labels, probabilities: Probabilities, classes: list[str]) -> None:
    with (prepared / "images.csv").open() as stream:
        paths = [row["path"] for row in csv.DictReader(stream) if row["split"] == "test"]
    rows = []
    for source, label, row in zip(paths, labels, probabilities, strict=True):
        best = int(row.argmax())
        rows.append([source, classes[label], classes[best], f"{row[best]:.4f}"])
    _write_table(path, ["path", "actual", "predicted", "probability"], rows)


def _write_table(path: Path, head: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(head)
        table.writerows(rows)
