"""The model registry: a bundle becomes a version once, and champion where it is better on the same data."""

import dataclasses
import os
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from filelock import FileLock

from pipeline.bundle import Bundle
from pipeline.config.errors import DataError, NetworkError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.model_versions import is_better, selection_tags, why_incomparable
from pipeline.tracking.registry import promote, register
from pipeline.tracking.resume import resumed_run
from pipeline.tracking.store import Store
from tests.tracking.conftest import MakeBundle

SAMPLE = np.zeros((2, 8, 8, 1), np.uint8)  # (B, H, W, C)


def said(store: Store, cfg: Config, bundle: Bundle, may_lead: bool = True, test: float | None = None) -> str:
    """Join the bundle's run as the stage does; register it."""
    with resumed_run(cfg, bundle, store.home) as run:
        if test is not None:
            run.log_metrics({"test/accuracy": test}, 1)
    return register(store, bundle, SAMPLE, may_lead)


def test_a_bundle_is_registered_once_and_leads_only_where_its_validation_loss_is_smaller(
    store: Store, cfg: Config, trained: MakeBundle
) -> None:
    first, worse, better = trained(1.0), trained(2.0), trained(0.5)
    assert said(store, cfg, first, test=0.75) == "registered as mnist version 1, the champion"
    assert said(store, cfg, first) == "registered as mnist version 1, the champion"
    assert said(store, cfg, worse, test=0.875) == (  # a better test figure is shown and changes nothing
        "registered as mnist version 2; version 1 stays champion: validation loss 1.0000, test accuracy 0.7500; "
        "this one validation loss 2.0000, test accuracy 0.8750"
    )
    by_hand = "`python -m pipeline.command.champion 3 --model mnist` makes it the champion"
    assert said(store, cfg, better, may_lead=False) == f"registered as mnist version 3; {by_hand}"
    assert said(store, cfg, better) == "registered as mnist version 3, the champion"
    assert said(store, cfg, better, may_lead=False) == "registered as mnist version 3, the champion"


def test_a_tie_keeps_the_standing_champion(store: Store, cfg: Config, trained: MakeBundle) -> None:
    said(store, cfg, trained(1.0))
    twin = dataclasses.replace(trained(1.5), digest="another")
    twin.validation["validation/loss"] = 1.0
    with pytest.raises(NetworkError, match="the run of bundle another is not in the MLflow store yet"):
        register(store, twin, SAMPLE, may_lead=True)
    assert "version 1 stays champion" in said(store, cfg, twin)


def test_a_network_of_other_data_leads_only_when_a_person_says_so(
    store: Store, cfg: Config, trained: MakeBundle, manifest: Manifest
) -> None:
    said(store, cfg, trained(1.0))
    elsewhere = trained(0.1, dataclasses.replace(manifest, data_digest="f" * 64))
    assert said(store, cfg, elsewhere) == (
        "registered as mnist version 2; version 1 stays champion: it was selected on other data, so their validation figures do "
        "not compare; `python -m pipeline.command.champion 2 --model mnist` changes it"
    )
    assert promote(store, "2") == "mnist version 2 is the champion: validation loss 0.1000"
    assert store.client.get_model_version_by_alias("mnist", "champion").version == 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"loss.label_smoothing": 0.1}, "its loss is another function or has other options, so their validation/loss does not compare"),
        ({"loss._target_": "pipeline.training.losses.Focal"}, "its loss is another function or has other options"),
        ({"training.balance": "weights"}, "its loss is another function or has other options"),
        ({"training.monitor": "validation/accuracy"}, "it was selected by validation/loss, this one by validation/accuracy"),
    ],
)
def test_a_figure_that_measures_something_else_never_beats_the_champion_s(changed: dict[str, Any], reason: str, cfg: Config) -> None:
    config = dataclasses.asdict(cfg)
    champion = {**selection_tags(config, "d"), "validation/loss": "0.993", "validation/accuracy": "0.5"}
    for key, value in changed.items():
        node, name = key.split(".")
        config[node][name] = value
    version = {**selection_tags(config, "d"), "validation/loss": "0.9789", "validation/accuracy": "0.6"}
    assert reason in why_incomparable(version, champion)
    assert why_incomparable(champion, champion) == ""


@pytest.mark.parametrize(
    ("monitor", "better", "worse"),
    [
        ("validation/loss", 0.1, 0.2),
        ("validation/accuracy", 0.9, 0.8),
        ("validation/loss", 0.1, 0.1),
        ("validation/loss", 9.5, 10.25),  # whose texts are in the other order
        ("validation/loss", 2e-05, 0.1),
        ("validation/accuracy", 1.0, 9e-05),
    ],
)
def test_the_better_one_is_better_by_the_metric_that_selected_both(monitor: str, better: float, worse: float, cfg: Config) -> None:
    cfg.training.monitor = monitor
    told = selection_tags(dataclasses.asdict(cfg), "d")
    cfg.loss["label_smoothing"] = 0.1
    other = told if monitor.endswith("loss") else selection_tags(dataclasses.asdict(cfg), "d")  # of accuracies the loss does not matter
    one, two = {**told, monitor: str(better)}, {**other, monitor: str(worse)}
    assert why_incomparable(one, two) == ""
    assert is_better(one, two) is (better != worse)
    assert not is_better(two, one)


@pytest.mark.parametrize("value", ["", "many", "nan", None])
def test_a_champion_whose_figure_is_no_number_does_not_compare(value: str | None, cfg: Config) -> None:
    version = {**selection_tags(dataclasses.asdict(cfg), "d"), "validation/loss": "1.0"}
    champion = {key: text for key, text in {**version, "validation/loss": value}.items() if text is not None}
    assert "its validation/loss is" in why_incomparable(version, champion)


def test_a_version_from_before_its_tags_said_all_is_compared_by_its_run(store: Store, cfg: Config, trained: MakeBundle) -> None:
    said(store, cfg, trained(1.0))
    for tag in ("loss", "selected_by"):
        store.client.delete_model_version_tag("mnist", "1", tag)
    assert said(store, cfg, trained(2.0)) == (
        "registered as mnist version 2; version 1 stays champion: validation loss 1.0000; this one validation loss 2.0000"
    )
    store.client.delete_run(store.client.get_model_version("mnist", "1").run_id)
    assert said(store, cfg, trained(0.5)) == "registered as mnist version 3, the champion"


@pytest.mark.parametrize("tag", ["loss", "selected_by", "data_digest", "validation/loss"])
def test_a_bundle_whose_version_lost_a_tag_is_compared_by_what_it_says_itself(
    tag: str, store: Store, cfg: Config, trained: MakeBundle
) -> None:
    better = trained(0.5)
    said(store, cfg, trained(1.0))
    said(store, cfg, better, may_lead=False)
    store.client.delete_model_version_tag("mnist", "2", tag)
    assert said(store, cfg, better) == "registered as mnist version 2, the champion"


def test_a_renamed_model_is_followed_also_by_hand(store: Store, cfg: Config, trained: MakeBundle) -> None:
    for loss in (1.0, 2.0):
        said(store, cfg, trained(loss))
    store.client.rename_registered_model("mnist", "numbers")
    assert promote(store, "2") == "numbers version 2 is the champion: validation loss 2.0000"
    with pytest.raises(DataError, match="^numbers has no version 7; its versions: 1, 2$"):
        promote(store, "7")
    by_its_name = Store(dataclasses.replace(cfg.tracking, model="numbers"), store.home)
    assert promote(by_its_name, "1") == "numbers version 1 is the champion: validation loss 1.0000"
    assert said(store, cfg, trained(0.5)) == "registered as numbers version 3, the champion"


def test_only_a_version_that_there_is_can_be_crowned(store: Store, cfg: Config, trained: MakeBundle) -> None:
    said(store, cfg, trained(1.0))
    with pytest.raises(DataError, match="^mnist has no version 7; its versions: 1$"):
        promote(store, "7")


def test_the_registered_model_says_what_it_takes_and_gives_and_its_classes(
    store: Store, cfg: Config, trained: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = trained(1.0)
    said(store, cfg, bundle)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    model = mlflow.pyfunc.load_model("models:/mnist@champion")
    info = model.metadata
    assert info.metadata["classes"] == bundle.manifest.classes
    assert info.get_input_schema().to_dict()[0]["tensor-spec"]["shape"] == (-1, 8, 8, 1)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype(np.float32)  # another batch than the example's
    probabilities = model.predict(images)
    assert probabilities.shape == (5, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_registering_leaves_the_process_without_a_store_of_its_own(
    store: Store, cfg: Config, trained: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    before = dict(os.environ)
    said(store, cfg, trained(1.0))
    assert not mlflow.is_tracking_uri_set()
    assert dict(os.environ) == before


def test_one_process_at_a_time_is_at_the_registry(store: Store, trained: MakeBundle, tmp_path: Path) -> None:
    store.client.create_registered_model("mnist")
    store.client.create_model_version("mnist", str(tmp_path))
    with ThreadPoolExecutor(2) as pool:
        with FileLock(store.lock("registry")):  # as another process has it
            registering = pool.submit(register, store, trained(1.0), SAMPLE, may_lead=True)
            promoting = pool.submit(promote, store, "1")
            assert not wait_for([registering, promoting], 2, FIRST_COMPLETED).done
        with pytest.raises(NetworkError, match="is not in the MLflow store yet"):
            registering.result(60)
        assert promoting.result(60) == "mnist version 1 is the champion: no metrics"
