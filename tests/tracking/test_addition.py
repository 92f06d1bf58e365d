"""A run that is made from its bundle says of the training what the training itself would have said."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.bundle import Bundle
from pipeline.config.schema import Config
from pipeline.report import write_report
from pipeline.tracking.addition import restore
from pipeline.tracking.journal import Journal, Reader
from pipeline.tracking.run import Run
from tests.tracking.conftest import MakeBundle


def told_layers(bundle: Any, home: Path) -> dict[str, Any]:
    """Return the table of layers that the bundle's run is told to have."""
    journal = Journal(home)
    restore(Run(journal), bundle)
    journal.close()
    [path] = journal.folder.rglob("layers.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize(("frozen", "trainable"), [([], 467), (["layers.conv"], 387)])
def test_the_layers_that_a_training_kept_as_they_were_count_as_not_trained(
    frozen: list[str], trainable: int, cfg: Config, trained: MakeBundle, home: Path
) -> None:
    cfg.weights.freeze = frozen
    layers = told_layers(trained(1.0), home)
    assert (layers["parameters"], layers["trainable"]) == (467, trainable)


def test_of_a_bundle_that_says_nothing_of_weights_all_is_trained(trained: MakeBundle, home: Path) -> None:
    bundle = trained(1.0)
    del bundle.config["weights"]
    assert told_layers(bundle, home)["trainable"] == 467


@pytest.mark.parametrize("views", ["plain", "mirror_shift"])
def test_a_run_says_of_which_views_its_test_accuracy_is(
    views: str, cfg: Config, bundle: Bundle, prepared: Path, home: Path, tmp_path: Path
) -> None:
    cfg.evaluate.views = views
    (reports := tmp_path / "reports").mkdir()
    write_report(bundle, prepared, reports, cfg.evaluate)
    journal = Journal(home)
    Run(journal).log_report(reports, 1)
    journal.close()
    [tags] = [event["values"] for event in Reader(journal.folder).new() if event["event"] == "tags"]
    assert tags == {"evaluated": "true", "views": views}
