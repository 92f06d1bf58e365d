"""The tune command: what it tries, what it takes for the fastest, and what it writes where."""

import os
import re
import shutil
import signal
import subprocess
import sys
from itertools import product
from pathlib import Path
from time import perf_counter

import pytest
import torch

from pipeline.command.check import network_of
from pipeline.command.tune import ALSO, CLOSE, WORKERS, _grids, _options, _settings, compare, fastest, write
from pipeline.config.compose import compose, read_yaml, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.config.sync import configure
from pipeline.config.tree import get
from pipeline.config.yaml_nodes import LOCAL
from pipeline.training.speed import Trial, cores, precisions, with_values
from tests.conftest import MakeConfig
from tests.project import Project, cloned, environment

SECONDS = 0.1  # of a try
SHORT = ("--seconds", "0.05", "--rounds", "1")
TUNE = ("python", "-m", "pipeline.command.tune")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project with the digits prepared as the baseline wants them."""
    copy = cloned(tmp_path_factory.mktemp("tune") / "project")
    copy.ok("python", "-m", "pipeline.stage.configure")
    for stage in ("fetch", "resize"):
        copy.ok("python", "-m", f"pipeline.stage.{stage}", "hydra.run.dir=runs/digits")
    shutil.copytree(copy.root / "runs" / "digits" / "prepared", copy.root / "data" / "prepared")
    return copy


@pytest.fixture
def root(conf: Path, tmp_path: Path) -> Path:
    """A project's root with a baseline of its own."""
    shutil.copytree(conf, tmp_path / "conf")
    configure(tmp_path, in_experiment=False)
    return tmp_path


def local(root: Path) -> dict[str, object]:
    return read_yaml(root / LOCAL) if (root / LOCAL).exists() else {}


@pytest.mark.slow
def test_the_fastest_of_the_digits_is_what_the_config_has_afterwards(project: Project) -> None:
    project.write(LOCAL, "# @package _global_\n# mine\nmachine:\n  workers: 7\n")  # no try is as slow as seven workers
    ran = project.ok(*TUNE, *SHORT, "--also", "all")
    assert "no images are prepared" not in ran.output
    tables = re.findall(r"^((?:machine|training)\..*images/s)\n((?: .*\n)+)", ran.output, re.MULTILINE)
    assert len(tables) == 2, ran.output  # layout and precision, and then threads and workers
    names, *_, values = tables[-1][0].split()[:-1], *(line.split() for line in tables[-1][1].splitlines() if line.endswith("fastest"))
    composed = resolved(compose(project.root / "conf"))
    assert {key: str(get(composed, key)) for key in names} == dict(zip(names, values, strict=False))
    assert read_yaml(project.root / "params.yaml") == composed
    assert "# mine" in project.read(LOCAL)


def test_only_what_is_no_part_of_the_result_is_tried_unless_asked_for(config: MakeConfig) -> None:
    cfg = config()
    assert [list(grid) for grid in _grids(cfg, [])] == [[WORKERS]]
    computed, computing = _grids(cfg, list(ALSO.values()))
    assert (set(computed), set(computing)) == ({"training.layout", "training.precision"}, {"training.threads", WORKERS})


def test_workers_and_threads_go_up_to_the_cores_and_the_configs_own_come_first(config: MakeConfig) -> None:
    (grid,) = _grids(config("machine.workers=1"), ["training.threads"])
    assert grid[WORKERS][0] == 1
    assert {0, 1, cores()} <= set(grid[WORKERS])
    assert max(grid[WORKERS]) == max(grid["training.threads"]) == cores()
    assert [tuple(setting.values()) for setting in _settings(grid)] == list(product(*grid.values()))


@pytest.mark.parametrize("rounds", ["0", "-1", "1.5", "many"])
def test_rounds_are_a_number_from_one_on(rounds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _options(["--rounds", rounds])
    assert f"argument --rounds: '{rounds}' is not a whole number from 1 on" in capsys.readouterr().err


def test_rounds_alternate_and_medians_count() -> None:
    settings = [{WORKERS: 0}, {WORKERS: 1}]
    rates, asked = iter([1.0, 5.0, 9.0, 5.0, 2.0, 5.0]), []

    def rate(setting: dict[str, object]) -> float:
        asked.append(setting[WORKERS])
        return next(rates)

    assert compare(settings, rate, 3) == [({WORKERS: 0}, 2.0), ({WORKERS: 1}, 5.0)]
    assert asked == [0, 1, 0, 1, 0, 1]


def test_noise_does_not_decide() -> None:
    first, second = {WORKERS: 0}, {WORKERS: 1}
    assert fastest([(first, 100 * CLOSE), (second, 100.0)]) == first
    assert fastest([(first, 100 * CLOSE - 1), (second, 100.0)]) == second


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_a_try_trains_the_network_in_the_layout_and_tells_its_rate(
    config: MakeConfig, cfg: Config, prepared: Path, workers: int, layout: str
) -> None:
    cfg.model = config("model=resnet20").model
    trial, seen = Trial(cfg, prepared, network_of(cfg, 3), 3), []
    trial.network.register_forward_hook(lambda _network, given, _scores: seen.append(len(given[0])))
    before = {name: value.clone() for name, value in trial.network.named_parameters()}
    start = perf_counter()
    rate = trial.rate({WORKERS: workers, "training.layout": layout, "training.threads": 1}, SECONDS)
    elapsed = perf_counter() - start
    timed = sum(seen[1 + 2 * workers :])  # the first batches, and what the workers made before, are not
    assert timed / elapsed <= rate <= timed / SECONDS
    assert [name for name, value in trial.network.named_parameters() if torch.equal(value, before[name])] == []
    filters = next(weight for weight in trial.network.parameters() if weight.dim() == 4 and weight.shape[1] > 1)
    assert filters.is_contiguous(memory_format=torch.channels_last) == (layout == "channels_last")


def test_a_try_computes_in_the_precision(cfg: Config, prepared: Path) -> None:
    trial, seen = Trial(cfg, prepared, network_of(cfg, 3), 3), set()
    layer = next(layer for layer in trial.network.modules() if isinstance(layer, torch.nn.Conv2d))
    layer.register_forward_hook(lambda _layer, _given, maps: seen.add(maps.dtype))
    for precision in ("32-true", "bf16-mixed"):
        trial.rate({"training.precision": precision}, 0.01)
    assert seen == {torch.float32, torch.bfloat16}
    assert precisions()[0] == "32-true"


def test_the_network_that_is_tried_is_that_of_the_training(cfg: Config) -> None:
    cfg.training.input, cfg.weights.freeze, cfg.seed = 6, ["layers.conv"], 3
    network = network_of(cfg, 3)
    assert sum(weight.numel() for weight in network.parameters() if weight.requires_grad) == 219  # the scores of 8×3×3 values
    assert torch.equal(next(network.parameters()), next(network_of(cfg, 3).parameters()))
    cfg.seed = 4
    assert not torch.equal(next(network.parameters()), next(network_of(cfg, 3).parameters()))


def test_a_setting_changes_a_copy(cfg: Config) -> None:
    assert with_values(cfg, {WORKERS: 9}).machine.workers == 9
    assert cfg.machine.workers != 9


def test_what_conf_has_already_is_not_written(root: Path) -> None:
    workers = get(resolved(compose(root / "conf")), WORKERS)
    assert f"{WORKERS}={workers} stands in conf/ already" in list(write(root, {WORKERS: workers}))
    assert not (root / LOCAL).exists()


def test_a_new_value_is_written_and_composed_and_said_to_be_part_of_the_result_or_not(root: Path) -> None:
    told = list(write(root, {WORKERS: 3, "training.threads": 5}))
    assert local(root) == {"machine": {"workers": 3}, "training": {"threads": 5}}
    assert (get(read_yaml(root / "params.yaml"), WORKERS), get(read_yaml(root / "params.yaml"), "training.threads")) == (3, 5)
    assert told[-1] == "note: training.threads: part of the result, so trainings give other weights than before"
    assert "note" not in " ".join(write(root, {WORKERS: 4}))


def test_what_was_changed_by_hand_in_params_yaml_is_lifted_and_not_put_back(root: Path) -> None:
    params = root / "params.yaml"
    params.write_text(re.sub(r"workers: \d+", "workers: 6", params.read_text()).replace("seed: 0 #", "seed: 0"))
    list(write(root, {WORKERS: 3}))
    assert get(read_yaml(params), WORKERS) == 3
    assert local(root) == {"machine": {"workers": 3}}


def test_a_value_that_is_refused_leaves_the_file_as_it_was(root: Path) -> None:
    list(write(root, {WORKERS: 3}))
    before, params = (root / LOCAL).read_text(), (root / "params.yaml").read_text()
    with pytest.raises(ConfigError, match=r"machine\.workers must be 0 to 1024, but it is 5000"):
        list(write(root, {WORKERS: 5000}))
    assert ((root / LOCAL).read_text(), (root / "params.yaml").read_text()) == (before, params)


@pytest.mark.slow
def test_ctrl_c_writes_nothing(project: Project) -> None:
    project.write(LOCAL, "# @package _global_\nmachine:\n  workers: 7\n")
    project.ok("python", "-m", "pipeline.stage.configure")
    before = project.read(LOCAL), project.read("params.yaml")
    command = [sys.executable, "-u", *TUNE[1:], "--seconds", "0.5", "--rounds", "100"]
    with subprocess.Popen(
        command, cwd=project.root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    ) as process:
        assert process.stdout
        told = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        told += process.stdout.read()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert re.search(r"^tuning: \d+ of \d+ tries, .* s left", told)
    assert (project.read(LOCAL), project.read("params.yaml")) == before


def test_an_option_that_it_does_not_have_is_refused(project: Project) -> None:
    ran = project.run(*TUNE, "--also", "seed")
    assert ran.code == 2
    assert "argument --also: invalid choice: 'seed' (choose from 'threads', 'layout', 'precision', 'all')" in ran.output
