import csv
import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import Bundle
from pipeline.config.schema import Config
from pipeline.inference import predict_images
from pipeline.report import write_report
from tests.samples import CLASSES


@pytest.fixture(scope="module")
def reports(written_bundle: Path, prepared: Path, small_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reports")
    write_report(Bundle.read(written_bundle), prepared, folder, small_config.evaluate)
    return folder


Given = tuple[list[int], list[int], list[float]]


@pytest.fixture
def answers(bundle: Bundle, prepared: Path) -> Given:
    """Actual and predicted labels of the test images, and the probabilities of the latter."""
    with torch.no_grad():
        probabilities, said = bundle.predictor()(torch.from_numpy(np.load(prepared / "test.npy"))).max(dim=1)
    return np.load(prepared / "test_labels.npy").tolist(), said.tolist(), probabilities.tolist()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as stream:
        return list(csv.DictReader(stream))


def test_the_report_is_seven_files(reports: Path) -> None:
    assert sorted(path.name for path in reports.iterdir()) == [
        *("classes.csv", "confusion.csv", "curves.csv", "metrics.json", "model_card.md", "overview.png", "predictions.csv")
    ]


def test_metrics_hold_the_score_of_each_split(reports: Path, answers: Given, bundle: Bundle) -> None:
    metrics = json.loads((reports / "metrics.json").read_text())
    actual, said, _ = answers
    assert metrics["test"]["accuracy"] == pytest.approx(np.mean(np.equal(actual, said)), abs=1e-6)
    assert {split: metrics[split]["images"] for split in ("train", "validation", "test")} == {"train": 12, "validation": 9, "test": 6}
    assert metrics["model"] == {"parameters": bundle.parameters, "best_epoch": 1}
    assert metrics["tta"] == "plain"
    assert "top5_accuracy" not in metrics["test"]  # of three classes
    assert 0 <= metrics["test"]["ece"] <= 1


def test_metrics_are_those_of_the_views_and_say_so(bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    cfg.evaluate.tta = "mirror_shift"
    scores = write_report(bundle, prepared, tmp_path, cfg.evaluate)
    probabilities = predict_images(bundle, np.load(prepared / "test.npy"), 100, "mirror_shift")
    right = probabilities[np.arange(6), np.load(prepared / "test_labels.npy")]
    assert scores["test"].loss == pytest.approx(-np.log(right).mean(), abs=1e-5)
    assert json.loads((tmp_path / "metrics.json").read_text())["tta"] == "mirror_shift"


def test_training_images_are_seen_as_they_are_whatever_the_views(bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    plain = write_report(bundle, prepared, tmp_path, cfg.evaluate)
    cfg.evaluate.tta = "mirror_shift"
    seen = write_report(bundle, prepared, tmp_path, cfg.evaluate)
    assert seen["train"] == plain["train"]
    assert seen["validation"].loss != plain["validation"].loss


def test_the_tables_tell_of_the_test_images(reports: Path, answers: Given) -> None:
    actual, said = ([CLASSES[label] for label in labels] for labels in answers[:2])
    assert [(row["actual"], row["predicted"]) for row in rows(reports / "confusion.csv")] == list(zip(actual, said, strict=True))
    predictions = rows(reports / "predictions.csv")
    assert [row["predicted"] for row in predictions] == said
    assert [row["path"] for row in predictions] == [f"test-images-idx3-ubyte.gz#{i}" for i in range(6)]
    assert [float(row["probability"]) for row in predictions] == pytest.approx(answers[2], abs=1e-4)


def test_recall_and_precision_are_those_by_hand(reports: Path, answers: Given) -> None:
    actual, said, _ = answers
    right = Counter(a for a, s in zip(actual, said, strict=True) if a == s)
    for label, row in enumerate(rows(reports / "classes.csv")):
        assert (row["class"], row["images"], row["right"]) == (CLASSES[label], "2", str(right[label]))
        found = 2 * right[label] / (2 + said.count(label))
        assert float(row["f1"]) == pytest.approx(found, abs=1e-4)
        assert 0 < float(row["mean_probability"]) < 1
        assert float(row["recall"]) == pytest.approx(right[label] / 2, abs=1e-4)
        if label in said:
            assert float(row["precision"]) == pytest.approx(right[label] / said.count(label), abs=1e-4)
        else:
            assert row["precision"] == ""


def test_curves_have_a_row_per_epoch(reports: Path) -> None:
    [first, second] = rows(reports / "curves.csv")
    assert (first["epoch"], second["epoch"]) == ("1.0", "2.0")
    assert (first["train_loss"], first["validation_accuracy"], first["learning_rate"]) == ("1.0", "0.4", "0.003")


def test_the_overview_shows_the_filters_of_the_kept_epoch(bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    def overview(changed: int | None) -> bytes:
        filters = bundle.filters.copy()
        if changed is not None:
            filters[changed] *= -1
        write_report(dataclasses.replace(bundle, filters=filters), prepared, tmp_path, cfg.evaluate)
        return (tmp_path / "overview.png").read_bytes()

    as_kept = overview(None)
    assert overview(-1) == as_kept
    assert overview(bundle.best_epoch) != as_kept


def test_equal_work_has_equal_reports(reports: Path, bundle: Bundle, prepared: Path, cfg: Config, tmp_path: Path) -> None:
    write_report(bundle, prepared, tmp_path, cfg.evaluate)
    for path in reports.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
