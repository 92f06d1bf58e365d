"""Evaluate a trained network on the prepared images: metrics.json, tables for DVC's plots, an overview page, a model card."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.analysis.figures.overview import overview
from pipeline.analysis.filters import colour_limit, filter_mosaic
from pipeline.analysis.metrics import Labels, Score, confusion, f1_scores, hardest, mean_probabilities, score
from pipeline.analysis.tta import PLAIN
from pipeline.bundle import Bundle
from pipeline.config.schema import Evaluate
from pipeline.config.splits import SPLITS
from pipeline.dataset.files import write_csv
from pipeline.dataset.names import shown
from pipeline.inference import SplitPredictions, predict_split
from pipeline.model_card import model_card


def write_report(bundle: Bundle, prepared: Path, reports: Path, config: Evaluate) -> dict[str, Score]:
    """Write all files of reports/; return split -> score. Training images are scored without test-time augmentation."""
    classes = bundle.manifest.classes
    tta = dict.fromkeys(SPLITS, config.tta) | {"train": PLAIN}
    found = {split: predict_split(bundle, prepared, split, config.batch_size, tta[split]) for split in SPLITS}
    scores = {split: score(part.labels, part.probabilities, config.confidence) for split, part in found.items()}
    test = found["test"]
    table = confusion(test.labels, test.predicted, len(classes))
    _write_metrics(reports / "metrics.json", scores, bundle, config.tta)
    _write_confusion(reports / "confusion.csv", test.labels, test.predicted, classes)
    _write_classes(reports / "classes.csv", table, mean_probabilities(test.labels, test.probabilities), classes)
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
    (reports / "model_card.md").write_text(model_card(bundle, scores, table, config), encoding="utf-8")
    return scores


def _write_metrics(path: Path, scores: dict[str, Score], bundle: Bundle, tta: str) -> None:
    tree: dict[str, object] = {split: {k: v for k, v in asdict(score).items() if v is not None} for split, score in scores.items()}
    tree["model"] = {"parameters": bundle.parameters, "best_epoch": bundle.best_epoch}
    tree["tta"] = tta
    path.write_text(json.dumps(tree, indent=2) + "\n")


def _write_confusion(path: Path, labels: Labels, predictions: Labels, classes: list[str]) -> None:
    write_csv(path, ["actual", "predicted"], [[classes[a], classes[p]] for a, p in zip(labels, predictions, strict=True)])


def _write_classes(path: Path, table: NDArray[np.int64], means: NDArray[np.float64], classes: list[str]) -> None:
    rows = []
    for i, (name, f1) in enumerate(zip(classes, f1_scores(table), strict=True)):
        right, actual, predicted = int(table[i, i]), int(table[i].sum()), int(table[:, i].sum())
        precision = f"{right / predicted:.4f}" if predicted else ""
        rows.append([name, actual, right, f"{right / actual:.4f}", precision, f"{f1:.4f}", f"{means[i, i]:.4f}"])
    write_csv(path, ["class", "images", "right", "recall", "precision", "f1", "mean_probability"], rows)


def _write_curves(path: Path, bundle: Bundle) -> None:
    names = ["epoch", "train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "learning_rate"]
    write_csv(path, names, [[row[name.replace("_", "/") if name != "learning_rate" else name] for name in names] for row in bundle.history])


def _write_predictions(path: Path, test: SplitPredictions) -> None:
    rows: list[list[object]] = []
    for i in range(len(test.labels)):
        example = test.example(i)
        rows.append([example.source, example.actual, example.predicted, f"{example.probability:.4f}"])
    write_csv(path, ["path", "actual", "predicted", "probability"], rows)
