"""The learning-rate range test: what it finds, that it changes nothing, and where it is kept."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.analysis.figures.rates import rate_figure
from pipeline.analysis.lr_curve import SETTLED, TOO_HIGH, RateCurve, averaged, came_apart
from pipeline.bundle import make_network
from pipeline.command.find_rate import EXPERIMENT, advice, log
from pipeline.config.errors import DataError, DivergedError
from pipeline.config.paths import WORKSPACE, Places
from pipeline.config.schema import Config
from pipeline.dataset.fetch import fetch
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.resize import resize
from pipeline.tracking.comparison import latest, listed, with_curves
from pipeline.tracking.events import Reader, waiting
from pipeline.tracking.store import Store
from pipeline.training.lr_finder import HIGHEST, LOWEST, STEPS, rate_test
from tests.conftest import MakeConfig
from tests.project import ROOT, Project
from tests.stage.conftest import work_of

SMALL = ("resize.size=8", "training.threads=1")  # of the digits, which are 8x8

RATES = np.geomspace(LOWEST, HIGHEST, STEPS)


def valley(noise: float = 0.0) -> RateCurve:
    """A loss that falls from 2.3 around 0.003 and rises again from 0.3 on; noise: share of it that batches differ by."""
    powers = np.log10(RATES)
    losses = 2.3 - 2 / (1 + np.exp(-4 * (powers + 2.5))) + np.exp(6 * (powers + 0.3))
    losses *= 1 + noise * np.random.default_rng(0).standard_normal(STEPS)
    ended = next((step for step in range(1, STEPS) if came_apart(losses[:step])), STEPS)
    return RateCurve(RATES, losses[:ended])


@pytest.fixture(scope="module")
def digits(config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path]:
    """The digits, prepared; not to be written to."""
    cfg, folder = config(*SMALL), tmp_path_factory.mktemp("digits")
    for name in ("raw", "prepared"):
        (folder / name).mkdir()
    fetch(cfg, folder / "raw", folder / "downloads", WORKSPACE)
    resize(cfg, folder / "raw", folder / "prepared", folder / "data.html", folder / "chunks")
    return cfg, folder / "prepared"


def curve_of(cfg: Config, prepared: Path) -> RateCurve:
    manifest = Manifest.read(prepared)
    torch.manual_seed(cfg.seed)
    return rate_test(cfg, make_network(cfg.model, manifest, cfg.training.input), manifest, prepared)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


# The curve


def test_the_average_has_no_bias_to_its_beginning() -> None:
    assert averaged(np.full(30, 2.5)) == pytest.approx(2.5)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_suggestions_are_where_the_loss_falls_fastest_and_a_tenth_of_where_it_is_lowest(noise: float) -> None:
    fastest, tenth = valley(noise).suggested.values()
    assert 0.0015 < fastest < 0.006  # at 10^-2.5
    assert 0.004 < tenth < 0.02  # the bottom is from 0.05 to 0.2


def test_a_leap_at_the_end_does_not_move_the_lowest_point() -> None:
    losses = np.append(valley().losses, 1e30)
    assert RateCurve(RATES, losses).lowest == pytest.approx(valley().lowest, abs=5)


def test_a_loss_that_does_not_fall_gives_no_suggestion() -> None:
    flat = RateCurve(RATES, 2.3 + 0.02 * np.random.default_rng(0).standard_normal(STEPS))
    assert flat.suggested == {}
    assert advice(flat) == "210 steps, from 1e-06 to 10: the loss did not fall at any learning rate, so there is none to suggest"


def short_valley(fall: float, noise: float) -> RateCurve:
    """README's example on digits: a loss that falls for some twenty steps by so much, and then leaps between batches."""
    rng = np.random.default_rng(0)
    losses = 2.3 + noise * rng.standard_normal(STEPS)
    losses[120:143] -= fall * np.linspace(0, 1, 23) ** 2
    losses[143:] += rng.exponential(0.2, STEPS - 143)
    losses[[144, 157, 162, 164]] = [2.9, 5.6, 5.1, 14.6]
    return RateCurve(RATES, losses)


@pytest.mark.parametrize(("fall", "noise"), [(0.35, 0.012), (0.25, 0.002), (0.9, 0.1)])
def test_a_loss_that_falls_for_a_few_steps_only_falls(fall: float, noise: float) -> None:
    fastest, tenth = short_valley(fall, noise).suggested.values()
    assert RATES[120] < fastest < RATES[143]
    assert 0.1 * RATES[125] < tenth < 0.1 * RATES[143]


@pytest.mark.parametrize("noise", [0.001, 0.02, 0.1, 0.5])
def test_noise_of_any_size_is_no_fall(noise: float) -> None:
    found = [RateCurve(RATES, 2.3 + noise * np.random.default_rng(seed).standard_normal(STEPS)).lowest for seed in range(50)]
    assert found == [None] * 50


def test_the_test_ends_where_the_average_is_four_times_its_lowest_or_the_loss_is_not_finite() -> None:
    low = np.ones(30)
    assert not came_apart(low)
    assert not came_apart(np.append(low, TOO_HIGH))
    assert came_apart(np.append(low, [TOO_HIGH * 10]))
    assert came_apart(np.append(low, np.nan))
    assert came_apart(np.array([np.inf]))
    assert not came_apart(np.append(np.full(SETTLED - 1, 1e-3), 1.0))  # too early to tell


def test_the_advice_has_the_words_to_type() -> None:
    first, *rest = advice(valley()).splitlines()
    ended = len(valley().losses)
    assert first == f"{ended} steps, from 1e-06 to {RATES[ended - 1]:.2g}"
    assert [line.split()[0] for line in rest] == [f"optimizer.lr={rate:.2g}" for rate in valley().suggested.values()]
    assert [line.split("  ")[1] for line in rest] == ["falls fastest", "a tenth of the lowest's"]


@pytest.mark.parametrize("curve", [valley(0.1), RateCurve(RATES, np.full(SETTLED + 1, 2.3))])
def test_the_figure_is_large_enough_to_read_and_the_same_each_time(tmp_path: Path, curve: RateCurve) -> None:
    for name in ("one.png", "two.png"):
        rate_figure(tmp_path / name, "cnn on digits", curve)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    with Image.open(tmp_path / "one.png") as picture:
        assert picture.width > picture.height > 400


# The test itself


@pytest.mark.slow
def test_on_digits_the_lowest_loss_is_at_a_sensible_rate_and_the_seed_repeats_it(digits: tuple[Config, Path]) -> None:
    cfg, prepared = digits
    before = contents(prepared)
    curve = curve_of(cfg, prepared)
    assert curve.lowest is not None
    assert 0.003 < curve.rates[curve.lowest] < 0.3
    assert all(0.0001 < rate < 0.03 for rate in curve.suggested.values())
    assert len(curve.losses) < STEPS
    assert np.array_equal(curve.losses, curve_of(cfg, prepared).losses)
    assert contents(prepared) == before


class Overflowing(nn.Module):
    """Scores that are no numbers as soon as the weights have moved far."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Linear(64, 3)
        self.first = self.scores.weight.detach().clone()

    def forward(self, images: Tensor) -> Tensor:
        is_far = (self.scores.weight.detach() - self.first).norm() > 0.5
        return self.scores(images.flatten(1)) * (torch.nan if is_far else 1)  # (B, 3)


def test_a_loss_that_is_no_number_ends_the_test_and_is_no_part_of_the_curve(cfg: Config, manifest: Manifest, prepared: Path) -> None:
    torch.manual_seed(0)
    curve = rate_test(cfg, Overflowing(), manifest, prepared)
    assert SETTLED < len(curve.losses) < STEPS
    assert np.isfinite(curve.losses).all()


def test_a_training_that_never_works_is_refused(cfg: Config, manifest: Manifest, prepared: Path) -> None:
    network = make_network(cfg.model, manifest, None)
    with torch.no_grad():
        next(network.parameters())[:] = torch.nan
    with pytest.raises(DivergedError, match="no number after 0 steps, at a learning rate of 1.0e-06: it is not"):
        rate_test(cfg, network, manifest, prepared)


def test_rates_rise_by_the_same_factor_with_every_step(cfg: Config, prepared: Path) -> None:
    rates = curve_of(cfg, prepared).rates
    assert (rates[0], rates[30], rates[-1]) == pytest.approx((1e-6, 1e-5, 10), rel=0.05)
    assert rates[1:] / rates[:-1] == pytest.approx(rates[1] / rates[0])


def test_a_batch_in_parts_is_one_step_with_the_mean_of_its_losses(cfg: Config, prepared: Path) -> None:
    cfg.model["layers"]["dropout"]["rate"] = 0.0
    whole = curve_of(cfg, prepared)
    cfg.training.accumulate = 2
    assert curve_of(cfg, prepared).losses[:50] == pytest.approx(whole.losses[:50], rel=1e-3)


def test_the_command_tries_the_network_of_the_training(
    cfg: Config, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "home"))
    cfg.tracking.uri = "http://127.0.0.1:9"  # a store that is away costs no time
    cfg.seed, cfg.training.input = 3, 6
    (live := tmp_path / "run").mkdir()
    (live / "prepared").symlink_to(prepared)
    work_of("pipeline.command.find_rate")(cfg, Places(live))
    curve = curve_of(cfg, prepared)
    assert capsys.readouterr().out == f"{advice(curve)}\nthe loss over the rate: {live / 'rates.png'}\n"
    [log] = waiting(tmp_path / "home")
    told = [event["values"]["loss"] for event in Reader(log).new() if event["event"] == "metrics"]
    assert told == list(curve.losses)


# Where it is kept


def test_mlflow_gets_the_curve_beside_the_trainings_and_not_among_them(cfg: Config, manifest: Manifest, home: Path, tmp_path: Path) -> None:
    picture = tmp_path / "rates.png"
    rate_figure(picture, "a valley", valley())
    log(cfg, manifest, valley(), picture, home)
    with pytest.raises(DataError, match="has no finished run"):  # what compare says
        latest(Store(cfg.tracking, home), 10)
    cfg.tracking.experiment += f"-{EXPERIMENT}"
    store = Store(cfg.tracking, home)
    [run] = listed(store)
    assert (run.state, run.tags["kind"], run.params["optimizer.lr"]) == ("finished", "rate test", str(cfg.optimizer["lr"]))
    assert set(run.metrics) == {"loss", "loss_averaged", "learning_rate"}
    losses = [point.value for point in store.client.get_metric_history(run.id, "loss")]
    assert losses == pytest.approx(list(valley().losses))
    assert any(file.path.endswith(".png") for file in store.client.list_artifacts(run.id, "images"))
    assert not with_curves(store, run).curves


@pytest.mark.slow
def test_the_command_prints_what_to_type_and_leaves_the_picture_in_the_runs_folder(digits: tuple[Config, Path], tmp_path: Path) -> None:
    live = tmp_path / "run"
    live.mkdir()
    (live / "prepared").symlink_to(digits[1])
    (live / ".resize.lock").touch()  # as the live run leaves it that made these images
    command = ("python", "-m", "pipeline.command.find_rate", *SMALL, f"hydra.run.dir={live}")
    ran = Project(ROOT).ok(*command, DVC_ROOT=str(tmp_path))
    typed, again, place = ran.output.splitlines()[-3:]
    assert typed.startswith("optimizer.lr=")
    assert again.startswith("optimizer.lr=")
    assert place == "the loss over the rate: run/rates.png"
    assert (live / "rates.png").stat().st_size > 10_000
    assert not {"bundle", "checkpoints"} & {path.name for path in [*live.iterdir(), *tmp_path.iterdir()]}
