"""The check command: what it tells of a training that has not begun, and what it refuses."""

import re
from pathlib import Path

import pytest
from PIL import Image
from torch import Tensor, nn

from pipeline.command.check import IMAGES, data_of
from pipeline.config.paths import Places
from pipeline.config.schema import Config
from pipeline.training import speed as speed_module
from pipeline.training.speed import AUGMENTED, Speed, estimate, measured
from tests.conftest import MakeConfig
from tests.project import ROOT, Project, Ran
from tests.stage.conftest import work_of

TICK = 0.01  # seconds between two looks at a clock


def check(folder: Path, *overrides: str) -> Ran:
    return Project(ROOT).run("python", "-m", "pipeline.command.check", *overrides, f"hydra.run.dir={folder}")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    folder = tmp_path_factory.mktemp("check") / "run"
    return folder, check(folder, "model=lenet", "dataset=folder", "dataset.channels=1", "resize.size=33", "augmentation=none")


def test_it_prints_layers_totals_memory_warnings_assumptions_and_time(checked: tuple[Path, Ran]) -> None:
    _, ran = checked
    assert ran.code == 0
    for words in (
        r"^image +1×33×33 +1 +1$",
        r"convolution +6×29×29 +5×5 +150 +6 +126,150 +5 +1$",
        r"^[\d,]+ parameters, all trained; 0 buffer values; [\d,]+ MACs an image$",
        r"^a training step of 32 images needs [\d.]+ MiB: weights [\d.]+, gradients [\d.]+, optimizer [\d.]+, activations [\d.]+$",
        r"^warning: \w+: rounded down, no window reaches the last row and column of its 29×29 maps; images of 32 or 36 pixels divide",
        rf"^note: no images are prepared for this config; 2 classes and {IMAGES:,} images are assumed$",
        r"^[\d,]+ images/s in training on 1 thread",
        rf"^an epoch of {IMAGES:,} images takes .*, 60 epochs .*",
    ):
        assert re.search(words, ran.output, re.MULTILINE), (words, ran.output)


def test_a_network_and_a_loss_for_two_classes_are_checked_where_the_data_decides_how_many_there_are(tmp_path: Path) -> None:
    ran = check(tmp_path / "run", "model=keras_one_output", "loss=binary_cross_entropy", "dataset=folder", "resize.size=33")
    assert ran.code == 0, ran.output
    assert f"note: no images are prepared for this config; 2 classes and {IMAGES:,} images are assumed" in ran.output


def test_it_leaves_the_table_and_the_figure_in_the_runs_folder(checked: tuple[Path, Ran]) -> None:
    folder, ran = checked
    assert f"the network as a figure: {folder / 'network.png'}" in ran.output
    assert (folder / "layers.txt").read_text() in ran.output
    with Image.open(folder / "network.png") as picture:
        assert picture.width > picture.height > 200


def test_images_that_are_too_small_are_refused_at_the_layer_with_the_smallest_size(tmp_path: Path) -> None:
    ran = check(tmp_path / "run", "resize.size=4")
    assert ran.code == 78
    words = r"resize.size must be at least 8 for this network, but it is 4: layers.pool3: the 1x1 maps before it are smaller than its 2x2"
    assert words in ran.output
    assert len(ran.output.splitlines()) == 1


def test_prepared_images_say_how_many_classes_and_images_there_are(cfg: Config, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "prepared").symlink_to(prepared)
    found = data_of(cfg, Places(tmp_path))
    assert (found.classes, found.train, found.validation, found.note) == (3, 12, 9, "")


def test_other_prepared_images_say_nothing_and_the_config_may(cfg: Config, prepared: Path, tmp_path: Path) -> None:
    (tmp_path / "prepared").symlink_to(prepared)
    cfg.resize.size = 9
    found = data_of(cfg, Places(tmp_path))
    assert (found.classes, found.train, found.note) == (
        3,
        IMAGES,
        f"note: no images are prepared for this config; {IMAGES:,} images are assumed\n",
    )


def test_the_network_is_that_of_the_training_for_what_it_sees_without_its_frozen_layers(
    cfg: Config, prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prepared").symlink_to(prepared)
    cfg.training.input, cfg.weights.freeze = 6, ["layers.conv"]
    work_of("pipeline.command.check")(cfg, Places(tmp_path))
    said = capsys.readouterr().out
    assert re.search(r"^image +1×6×6 ", said, re.MULTILINE)
    assert "299 parameters, 219 of them trained; " in said  # 80 in the convolution, 219 in the scores of 8×3×3 values
    assert "an epoch of 12 images takes" in said
    assert "note" not in said


class Clock:
    """Time that passes when somebody looks, and as much as a network says."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.mark.parametrize("changes", [["augmentation=shift"], ["training.input=8", "augmentation=none"]])
def test_steps_are_measured_at_the_configured_batch_size_with_the_augmentation(
    changes: list[str], config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed_module, "perf_counter", Clock(TICK))
    cfg = config("dataset=mnist", "resize.size=12", "training.batch_size=16", *changes)
    network = nn.Sequential(nn.Flatten(), nn.Linear((cfg.training.input or 12) ** 2, 3))
    speed = measured(cfg, network, 3)
    assert speed.batch == 16
    assert (speed.train, speed.evaluate, speed.augment) == pytest.approx((TICK / 16, TICK / 16, TICK / AUGMENTED))


class Slow(nn.Module):
    """Takes some seconds of a clock for an image."""

    auxiliary_weight = 0.3

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 3)
        self.clock, self.seconds = clock, seconds

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        self.clock.now += self.seconds * len(images)
        scores = self.layer(images.flatten(1))
        return (scores, scores) if self.training else scores


@pytest.mark.parametrize(("seconds", "batch", "evaluate"), [(1 / 16, 4, 1 / 16), (4.0, 2, 4 / 3)])  # a forward is a third of a step
def test_where_a_step_takes_long_a_smaller_batch_is_measured_and_it_says_so(
    seconds: float, batch: int, evaluate: float, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg, clock = config("dataset=mnist", "resize.size=8", "augmentation=none"), Clock()
    monkeypatch.setattr(speed_module, "perf_counter", clock)
    speed = measured(cfg, Slow(clock, seconds), 3)
    assert (speed.batch, speed.train, speed.evaluate) == (batch, seconds, pytest.approx(evaluate))
    told = next(estimate(cfg, speed, 100, 0))
    assert told.endswith(f"(measured in batches of {speed.batch}; one of 32 takes too long here for a check)")


def test_an_epoch_is_its_training_images_its_augmentation_and_its_validation_images(config: MakeConfig) -> None:
    cfg = config("training.epochs=10", "training.batch_size=32", "training.threads=2")
    rate, epoch = estimate(cfg, Speed(32, train=0.003, evaluate=0.001, augment=0.001), 1000, 200)
    assert rate == "250 images/s in training on 2 threads; augmentation takes 1,000 µs of each image"
    assert epoch == "an epoch of 1,000 images takes 4.2 s, 10 epochs 0:42 min"
    cfg.machine.workers = 1  # they augment meanwhile
    assert next(estimate(cfg, Speed(32, 0.003, 0.001, 0.001), 1000, 200)).startswith("333 images/s")
    assert next(estimate(cfg, Speed(32, 0.003, 0.001, 0.005), 1000, 200)).startswith("200 images/s")
