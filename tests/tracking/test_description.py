"""What the page of a run in MLflow says in words, and that nobody's own words are lost."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, RunData, RunInfo, RunInputs, RunTag

from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.description import description
from pipeline.tracking.events import NOTE
from pipeline.tracking.provenance import begin_fields
from pipeline.tracking.resume import resumed_run
from pipeline.tracking.run import tracked_training
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_waiting
from tests.conftest import MakeConfig
from tests.tracking.conftest import MakeBundle

PROFILE = '{"images": {"train": 1200, "validation": 200, "test": 400}, "shape": [28, 32, 1]}'
NONE: Mapping[str, str] = {}
PARAMS = {
    "model.name": "lenet",
    "dataset.name": "digits",
    "seed": "3",
    "training.monitor": "validation/loss",
    "evaluate.confidence": "0.95",
}
KEPT = {"best/validation/accuracy": 0.98, "best/validation/loss": 0.1, "best/epoch": 7.0}
TAGS = {
    "changed": "model=lenet seed=3",
    "command": "python -m pipeline.stage.train model=lenet seed=3",
    "commit": "0123456789ab",
    "dirty": "false",
}


def run(metrics: dict[str, float] = KEPT, tags: Mapping[str, str] = NONE, params: Mapping[str, str] = NONE) -> Run:
    """Return a run as the store returns it. tags, params: beside or instead of TAGS and PARAMS."""
    info = RunInfo("id", "1", "user", "RUNNING", 0, None, "active")
    data = RunData(
        [Metric(name, value, 0, 0) for name, value in metrics.items()],
        [Param(key, value) for key, value in (PARAMS | dict(params)).items()],
        [RunTag(key, value) for key, value in (TAGS | dict(tags)).items()],
    )
    return Run(info, data, RunInputs([DatasetInput(Dataset("digits", "d", "image-line", "{}", profile=PROFILE), [])]))


def test_it_says_what_was_trained_on_what_with_which_result_and_how_to_repeat_it() -> None:
    assert description(run(KEPT | {"test/accuracy": 0.97}), "FINISHED") == (
        "**lenet** trained on **digits** (images: 1,200 train, 200 validation, 400 test; 32 x 28 pixels, gray), seed 3.\n\n"
        "- **test accuracy 0.9700** (95% interval 0.9482 to 0.9844, 400 images)\n"
        "- validation accuracy 0.9800 (95% interval 0.9496 to 0.9945, 200 images)\n"
        "- weights of epoch 7, the best by validation/loss\n\n"
        "### Different from conf/\n"
        "- `model=lenet`\n"
        "- `seed=3`\n\n"
        "### To repeat it\n"
        "```sh\n"
        "git checkout 01234567\n"
        "python -m pipeline.stage.train model=lenet seed=3\n"
        "```"
    )


def test_without_test_images_seen_the_validation_accuracy_is_the_result() -> None:
    assert "- **validation accuracy 0.9800** (95% interval 0.9496 to 0.9945, 200 images)" in description(run(), "FINISHED")


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"dirty": "true"}, "the code had changes that were not committed, so no commit says what ran"),
        ({"commit": "not in git"}, "the code was not in git, so no commit says what ran"),
        ({"resumed": "true"}, "the training was stopped and resumed"),
        ({"uncertain": "only 9 validation images choose the epoch"}, "only 9 validation images choose the epoch"),
        ({"debug": "limit_batches=2"}, r"a debug run (limit\_batches=2): its figures compare with no other's"),
        ({"tta": "mirror"}, "the test accuracy is with test-time augmentation (mirror)"),
    ],
)
def test_what_is_unusual_is_said_and_nothing_else(tags: dict[str, str], said: str) -> None:
    text = description(run(tags=tags), "FINISHED")
    assert text.partition("### Unusual\n")[2].partition("\n\n")[0] == f"- {said}"
    assert "### Unusual" not in description(run(tags={"tta": "plain"}), "FINISHED")


def test_an_epoch_chosen_on_the_test_images_is_said() -> None:
    one = {"dataset.splits.validation": "photos/b", "dataset.splits.test": "photos/b"}
    assert "the test images chose the epoch too" in description(run(params=one), "FINISHED")
    assert "chose the epoch" not in description(run(params=one | {"dataset.splits.test": "photos/c"}), "FINISHED")


def test_a_debug_run_has_no_interval() -> None:
    assert "interval" not in description(run(tags={"debug": "overfit"}), "FINISHED")


def test_why_a_training_ended_is_said_and_does_not_format_the_page() -> None:
    diverged = run({}, {"error": "training diverged:\nloss of *layer* is <nan>"})
    assert r"- failed: training diverged: loss of \*layer\* is \<nan\>" in description(diverged, "FAILED")
    assert "- still training" in description(run({}), "RUNNING")


def test_a_run_without_a_network_and_one_of_an_earlier_version_are_no_error() -> None:
    info, none = RunInfo("id", "1", "user", "RUNNING", 0, None, "active"), RunInputs([])
    assert description(Run(info, RunData([], [], []), none), "FINISHED") == ""
    earlier = Run(info, RunData([Metric("test/accuracy", 0.5, 0, 0)], [Param("model.name", "cnn")], []), none)
    assert "- **test accuracy 0.5000**" in description(earlier, "FINISHED")


def test_a_run_is_described_when_it_is_trained_and_again_when_it_is_evaluated(home: Path, cfg: Config, trained: MakeBundle) -> None:
    bundle = trained(1.0)
    with tracked_training(cfg, bundle.manifest, home) as training:
        training.tag(bundle=bundle.digest)
        training.log_kept(bundle.validation)
    assert sync_waiting(home) == []
    store = Store(cfg.tracking, home)
    [found] = store.runs()
    assert "- **validation accuracy 0.5000** (95% interval" in found.data.tags[NOTE]
    with resumed_run(cfg, bundle, home) as evaluation:
        evaluation.log_metrics({"test/accuracy": 0.5}, 1)
    [found] = store.runs()
    assert "- **test accuracy 0.5000** (95% interval 0.1181 to 0.8819, 6 images)" in found.data.tags[NOTE]
    store.client.set_tag(found.info.run_id, NOTE, "my favourite")
    with resumed_run(cfg, bundle, home) as again:
        again.log_metrics({"test/loss": 0.5}, 1)
    [found] = store.runs()
    assert found.data.tags[NOTE] == "my favourite"
    assert cfg.model["name"] in found.info.run_name


def test_an_experiment_has_the_name_that_a_person_gave_and_that_of_its_changes_instead_of_one_that_dvc_has_drawn(
    cfg: Config, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = asdict(cfg)
    own = begin_fields(config, manifest, {})["name"]
    monkeypatch.setenv("DVC_EXP_NAME", "whole-quey")
    drawn = begin_fields(config, manifest, {})
    assert (drawn["name"], drawn["tags"]["dvc_experiment"]) == (own, "whole-quey")
    monkeypatch.setenv("DVC_EXP_NAME", "night-1")
    assert begin_fields(config, manifest, {})["name"] == "night-1"


def test_the_command_that_repeats_a_training_is_that_of_the_stage_or_of_dvc(
    manifest: Manifest, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    lenet, plain = asdict(config("model=lenet", "optimizer.lr=0.001")), asdict(config())
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert begin_fields(lenet, manifest, {})["tags"]["command"] == "python -m pipeline.stage.train model=lenet optimizer.lr=0.001"
    monkeypatch.setenv("DVC_STAGE", "train")
    tags = begin_fields(lenet, manifest, {})["tags"]
    assert (tags["command"], tags["changed"]) == ("dvc exp run -S model=lenet -S optimizer.lr=0.001", "model=lenet optimizer.lr=0.001")
    assert begin_fields(plain, manifest, {})["tags"]["command"] == "dvc repro"
