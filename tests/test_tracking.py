"""A training in MLflow: one run with its parameters, metrics and true end; found again by its bundle; models with a champion."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline.bundle import TRAINED_WITH, Bundle, make_network, write_bundle
from pipeline.config.composition import leaves
from pipeline.config.errors import NetworkError, Stopped
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.registry import register
from pipeline.tracking.store import Store

SAMPLE = np.zeros((2, 8, 8, 1), np.uint8)  # (B, H, W, C)


@pytest.fixture
def store(tmp_path: Path, cfg: Config) -> Store:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return Store(cfg.tracking, tmp_path)


def bundle(folder: Path, cfg: Config, manifest: Manifest, loss: float) -> Bundle:
    """A bundle whose kept epoch had this validation loss."""
    folder.mkdir()
    row = {"epoch": 1.0, "validation/loss": loss, "validation/accuracy": 0.5}
    config = {node: value for node, value in dataclasses.asdict(cfg).items() if node in TRAINED_WITH}
    write_bundle(folder, make_network(cfg.model, manifest), manifest, config, row, [row])
    return Bundle.read(folder)


def test_a_training_is_one_finished_run_with_the_names_of_dvc_params_diff(store: Store, cfg: Config, manifest: Manifest) -> None:
    with store.training(cfg, manifest) as run:
        run.log_metrics({"train/loss": 2.0}, 1)
        run.log_metrics({"train/loss": 1.0}, 2)
    found = store.client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {key: str(value) for key, value in leaves(dataclasses.asdict(cfg))}
    assert [(point.step, point.value) for point in store.client.get_metric_history(run.id, "train/loss")] == [(1, 2.0), (2, 1.0)]
    assert found.data.tags["data_digest"] == manifest.data_digest


def test_a_network_of_many_layers_keeps_all_its_parameters(store: Store, cfg: Config, manifest: Manifest) -> None:
    cfg.model["layers"] |= {f"relu{i}": {"kind": "relu"} for i in range(250)}
    with store.training(cfg, manifest) as run:
        pass
    assert len(store.client.get_run(run.id).data.params) > 250


@pytest.mark.parametrize(("error", "status"), [(ValueError("no"), "FAILED"), (Stopped(15), "KILLED")])
def test_a_training_that_does_not_end_well_is_no_finished_run(
    error: BaseException, status: str, store: Store, cfg: Config, manifest: Manifest
) -> None:
    with pytest.raises(type(error)), store.training(cfg, manifest) as run:
        raise error
    assert store.client.get_run(run.id).info.status == status


def test_a_bundles_run_is_found_again_and_made_where_the_store_has_none(
    store: Store, cfg: Config, manifest: Manifest, tmp_path: Path
) -> None:
    trained = bundle(tmp_path / "a", cfg, manifest, 1.0)
    run = store.run_of(trained, cfg)
    found = store.client.get_run(run.id)
    assert (found.info.status, found.data.tags["restored"], found.data.metrics["validation/loss"]) == ("FINISHED", "true", 1.0)
    assert store.run_of(trained, cfg).id == run.id


def test_a_bundle_is_registered_once_and_leads_only_where_it_is_better(
    store: Store, cfg: Config, manifest: Manifest, tmp_path: Path
) -> None:
    first, worse, better = (bundle(tmp_path / name, cfg, manifest, loss) for name, loss in (("a", 1.0), ("b", 2.0), ("c", 0.5)))

    def said(trained: Bundle, may_lead: bool = True) -> str:
        return register(store, trained, store.run_of(trained, cfg), SAMPLE[:, : manifest.size, : manifest.size], may_lead)

    assert said(first) == "registered as cnn version 1, the champion"
    assert said(first) == "registered as cnn version 1, the champion"
    assert said(worse) == "registered as cnn version 2; version 1 stays champion"
    assert said(better, may_lead=False) == "registered as cnn version 3"
    assert said(better) == "registered as cnn version 3, the champion"


def test_a_store_that_can_not_be_reached_is_told_without_its_password(cfg: Config, tmp_path: Path) -> None:
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    cfg.tracking.uri = "http://user:secret@127.0.0.1:9"
    with pytest.raises(NetworkError, match="the MLflow store http://127.0.0.1:9 can't be used") as caught:
        Store(cfg.tracking, tmp_path)
    assert "secret" not in str(caught.value)
