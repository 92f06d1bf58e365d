"""debug=one_batch, overfit and profile: short trainings that show a fault, limited by plain config."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.bundle import make_network
from pipeline.config.compose import compose
from pipeline.config.errors import ConfigError
from pipeline.config.paths import WORKSPACE
from pipeline.config.schema import Config
from pipeline.config.tree import get
from pipeline.dataset.augmentation import Augment
from pipeline.dataset.fetch import fetch
from pipeline.dataset.loaders import PackedImages, loader
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.resize import resize
from pipeline.training.fit import FitResult, fit, train_images, train_loader, validation_images, validation_loader
from pipeline.training.profiler import SKIPPED
from tests.conftest import MakeConfig
from tests.samples import options
from tests.training.test_fit import Told, fresh_checkpoints, weights

Train = Callable[..., tuple[nn.Module, FitResult]]


class Filing(Told):
    """Follows a training: the text of each file that it logged, under folder/name."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, str] = {}

    def log_file(self, file: Path, folder: str | None = None) -> None:
        content = file.read_bytes()
        self.files[f"{folder}/{file.name}"] = (gzip.decompress(content) if file.suffix == ".gz" else content).decode()


@pytest.fixture
def train(manifest: Manifest, prepared: Path, tmp_path: Path) -> Train:
    """Trains a fresh network as the stage does."""

    def trained(cfg: Config, images: Path = prepared, follower: Told | None = None) -> tuple[nn.Module, FitResult]:
        torch.manual_seed(cfg.seed)
        network = make_network(cfg.model, Manifest.read(images), cfg.training.input)
        return network, fit(cfg, network, Manifest.read(images), images, fresh_checkpoints(tmp_path), follower or Told())

    return trained


# The overlays


@pytest.mark.parametrize("option", options("debug"))
def test_an_overlay_keeps_the_data_and_the_network(option: str, config: MakeConfig) -> None:
    plain, debug = config(), config(f"debug={option}")
    assert debug.debug.name == option
    for node in ("dataset", "decode", "resize", "model", "weights", "loss", "optimizer"):
        assert getattr(debug, node) == getattr(plain, node)


def test_an_overlay_counts_more_than_a_recipe_and_the_command_line_more_than_both(config: MakeConfig) -> None:
    cfg = config("experiment=mnist_airbench", "debug=overfit", "training.epochs=7")
    assert (cfg.experiment.name, cfg.augmentation.name, cfg.training.batch_size, cfg.training.epochs) == ("mnist_airbench", "none", 128, 7)


def test_the_baseline_has_no_limit(config: MakeConfig) -> None:
    training = config().training
    assert (training.limit_batches, training.overfit_images, training.profile) == (None, None, None)


@pytest.mark.parametrize("option", [option for option in options("debug") if option != "none"])
def test_a_budget_does_not_keep_a_debug_run_going(option: str, conf: Path, tmp_path: Path) -> None:
    default = Path(shutil.copytree(conf, tmp_path / "conf")) / "training" / "default.yaml"
    default.write_text(default.read_text().replace("budget: null", "budget: 30m"))
    assert get(compose(tmp_path / "conf"), "training.budget") == "30m"
    assert get(compose(tmp_path / "conf", [f"debug={option}"]), "training.budget") is None


# one_batch


def test_one_batch_is_one_step_and_one_batch_of_validation(cfg: Config, config: MakeConfig, train: Train, prepared: Path) -> None:
    cfg.training.epochs = (one := config("debug=one_batch").training).epochs
    cfg.training.limit_batches = one.limit_batches
    assert [len(labels) for _, labels in train_loader(cfg, train_images(cfg, prepared))] == [4]  # of 12
    assert [len(labels) for _, labels in validation_loader(cfg, validation_images(cfg, prepared))] == [4]  # of 9
    assert len(train(cfg)[1].history) == 1


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_limited_epoch_is_the_beginning_of_the_whole_one(seed: int | None, ranks: int, prepared: Path) -> None:
    for rank in range(ranks):
        whole, limited = (loader(PackedImages(prepared, "train"), 2, seed, rank=rank, ranks=ranks, limit=limit) for limit in (None, 2))
        assert (len(whole), len(limited)) == (12 // 2 // ranks, 2)
        for (images, labels), (first, theirs) in zip(list(whole)[:2], limited, strict=True):
            assert torch.equal(images, first)
            assert torch.equal(labels, theirs)


def test_a_limit_above_the_number_of_batches_changes_nothing(prepared: Path) -> None:
    assert len(loader(PackedImages(prepared, "train"), 5, 0, limit=100)) == 3


def test_the_schedule_goes_by_the_steps_that_are_left(cfg: Config, train: Train) -> None:
    cfg.scheduler = {"name": "triangle", "_target_": "pipeline.training.schedules.Triangle", "start": 0.0, "peak": 0.0, "end": 0.5}
    cfg.training.limit_batches, cfg.training.epochs = 1, 3
    rates = [row["learning_rate"] / cfg.optimizer["lr"] for row in train(cfg)[1].history]
    assert rates == pytest.approx([1, 5 / 6, 4 / 6])


# overfit


@pytest.fixture(scope="module")
def digits(config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits, prepared as the baseline has them; not to be written to."""
    cfg, folder = config(), tmp_path_factory.mktemp("digits")
    for name in ("raw", "prepared"):
        (folder / name).mkdir()
    fetch(cfg, folder / "raw", folder / "downloads", WORKSPACE)
    resize(cfg, folder / "raw", folder / "prepared", folder / "data.html", folder / "chunks")
    return folder / "prepared"


def test_twelve_digits_are_learned_by_heart(config: MakeConfig, digits: Path, train: Train) -> None:
    _, fitted = train(config("debug=overfit"), digits)
    assert fitted.best["validation/accuracy"] == 1
    assert fitted.best["validation/loss"] < 0.05  # guessing: 2.3
    assert fitted.history[-1]["train/accuracy"] == 1


def test_the_network_is_validated_on_the_images_that_it_learns(cfg: Config, train: Train, prepared: Path, tmp_path: Path) -> None:
    cfg.training.overfit_images = 6
    cfg.model["layers"]["dropout"]["rate"] = 0.0
    cfg.optimizer["lr"] = 1e-9  # it stays as it is
    cfg.training.batch_size = 6
    for row in train(cfg)[1].history:
        assert row["train/loss"] == pytest.approx(row["validation/loss"], rel=1e-4)


def test_the_images_come_from_all_classes_alike(digits: Path) -> None:
    labels = PackedImages(digits, "train", count=12, seed=0).labels
    assert sorted(np.bincount(labels, minlength=10)) == [1] * 8 + [2] * 2


def test_a_class_of_few_images_gives_all_and_the_others_the_rest(tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1))
    np.save(tmp_path / "train_labels.npy", np.array([0, 1, 1, 1, 1, 2, 2, 2, 2]))
    few = PackedImages(tmp_path, "train", count=7, seed=0)
    assert np.bincount(few.labels).tolist() == [1, 3, 3]
    assert len(np.unique(few.images)) == 7
    assert np.array_equal(np.load(tmp_path / "train_labels.npy")[few.images.ravel()], few.labels)  # each with its own label
    assert len(PackedImages(tmp_path, "train", count=100, seed=0)) == 9


def test_which_images_is_decided_by_the_seed_alone(digits: Path) -> None:
    first, again, other = (PackedImages(digits, "train", count=12, seed=seed).images for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_loader_processes_have_the_same_few_images(prepared: Path, cfg: Config) -> None:
    images = PackedImages(prepared, "train", Augment(cfg.augmentation, 0), count=5, seed=2)
    rebuild, arguments = images.__reduce__()
    assert np.array_equal(rebuild(*arguments).images, images.images)


# profile


def profiled(cfg: Config, train: Train, steps: int = 2) -> tuple[Filing, FitResult]:
    cfg.training.profile = steps
    told = Filing()
    return told, train(cfg, follower=told)[1]


def test_a_profile_is_a_trace_and_a_table_by_operation(cfg: Config, train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    told, _ = profiled(cfg, train)
    assert set(told.files) == {"profile/trace.json.gz", "profile/table.txt"}
    events = json.loads(told.files["profile/trace.json.gz"])["traceEvents"]
    assert len({event["name"] for event in events if event["name"].startswith("ProfilerStep#")}) == 2
    table = told.files["profile/table.txt"]
    for operation in ("aten::convolution_backward", "Optimizer.step#AdamW.step", "DataLoader"):
        assert operation in table
    assert "profile/table.txt" in capsys.readouterr().out


def test_a_profile_ends_the_training(cfg: Config, train: Train) -> None:
    cfg.training.epochs = 50  # of three batches
    _, fitted = profiled(cfg, train, steps=3)
    assert len(fitted.history) == 2  # the 5 steps end in the second epoch


def test_a_profile_changes_no_weight(cfg: Config, train: Train) -> None:
    cfg.training.epochs = 2
    plain = weights(train(cfg)[0])
    cfg.training.profile = 6 - SKIPPED
    assert torch.equal(weights(train(cfg, follower=Filing())[0]), plain)


def test_a_training_too_short_to_profile_is_refused_before_it_begins(cfg: Config, train: Train) -> None:
    cfg.training.epochs = 1
    told = Filing()
    cfg.training.profile = 2
    with pytest.raises(ConfigError) as refused:
        train(cfg, follower=told)
    assert refused.value.key == "training.profile"
    assert str(refused.value) == (
        "training.profile is 2 steps after 2 that are not recorded, but this training has 3: give training.epochs=2 or more"
    )
    assert told.metrics == []


def test_a_second_training_of_this_process_can_be_profiled_too(cfg: Config, train: Train) -> None:
    for _ in range(2):
        assert profiled(cfg, train)[0].files
