"""Runs beside each other: what differs in data, code and parameters, the best and last figures, and which runs are meant."""

import csv
import io
import math
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Metric, Param

from pipeline.command import compare
from pipeline.config.errors import DataError
from pipeline.config.process import exit_code
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.comparison import (
    TrackedRun,
    best_epoch,
    differing,
    figures,
    find,
    kept_epoch,
    latest,
    leaders,
    listed,
    table,
    with_curves,
)
from pipeline.tracking.provenance import begin_fields
from pipeline.tracking.store import Store
from pipeline.tracking.tables import shortened

PARAMS = {"optimizer.lr": "0.003", "seed": "0", "dataset.name": "digits", "training.monitor": "validation/loss"}
TAGS = {
    "data_digest": "1896f06f5fb6",
    "commit": "78fae1b748d7",
    "dirty": "false",
    "torch": "2.13",
    "machine": "x86_64",
    "device": "GenuineIntel AVX512",
}
START = int(datetime(2026, 5, 4, 12, 30).timestamp() * 1000)  # of every run below that says nothing else

Curves = dict[str, list[float]]  # metric -> values of epochs 1, 2, …
Compare = Callable[..., str]


@pytest.fixture(scope="module")
def empty(small_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a store without runs; MLflow takes a second to make one."""
    home = tmp_path_factory.mktemp("empty")
    return home / Path(Store(small_config.tracking, home).uri).name


@pytest.fixture
def store(empty: Path, cfg: Config, tmp_path: Path) -> Store:
    shutil.copy(empty, tmp_path)
    return Store(cfg.tracking, tmp_path)


@pytest.fixture
def told(store: Store, conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Compare:
    """Returns what the command prints in a project with this store."""
    (store.home / "conf").symlink_to(conf)
    monkeypatch.setattr(compare, "WORKSPACE", store.home)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def told(*arguments: str, width: int = 120) -> str:
        monkeypatch.setattr(sys, "argv", ["compare", *arguments])
        monkeypatch.setenv("COLUMNS", str(width))
        compare.main()
        printed = capsys.readouterr()
        assert "Downloading" not in printed.err  # no progress bar of MLflow's
        return printed.out

    return told


@pytest.fixture
def signals() -> Iterator[None]:
    """Signal handlers as they were."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def train(
    store: Store,
    name: str,
    curves: Curves | None = None,
    *,
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    status: str = "FINISHED",
    minutes: int = 0,
) -> str:
    """Write a run into the store, as a training that began so many minutes after START and took 83 s; return its id."""
    started = START + minutes * 60_000
    run = store.client.create_run(store.experiment, started, TAGS | (tags or {}), name).info.run_id
    points = [Metric(metric, value, started, epoch) for metric, values in (curves or {}).items() for epoch, value in enumerate(values, 1)]
    store.client.log_batch(run, points, [Param(key, value) for key, value in (PARAMS | (params or {})).items()])
    store.client.set_terminated(run, status, started + 83_000)
    return run


def tracked(name: str = "a", curves: Curves | None = None, run_id: str = "", **params: str) -> TrackedRun:
    """A run that no store knows."""
    by_epoch = {metric: dict(enumerate(values, 1)) for metric, values in (curves or {}).items()}
    return TrackedRun(run_id or name * 32, name, "finished", START, START + 83_000, PARAMS | params, dict(TAGS), tuple(by_epoch), by_epoch)


def values(runs: list[TrackedRun], label: str) -> list[float | None]:
    [found] = [figure.values for figure in figures(runs) if figure.label == label]
    return found


def line(text: str, key: str) -> list[str]:
    """Return the cells beside a key."""
    [found] = [line for line in text.splitlines() if line.startswith(f"{key}  ")]
    return [cell.strip() for cell in found[len(key) :].split("  ") if cell.strip()]


# Which runs are meant


def test_a_run_is_meant_by_its_name_its_id_or_the_beginning_of_its_id(store: Store) -> None:
    run = train(store, "shy-owl")
    runs = listed(store)
    assert [find(words, runs)[0].id for words in ("shy-owl", run, run[:6])] == [run] * 3


def test_a_name_is_meant_before_the_beginning_of_an_id() -> None:
    runs = [tracked("x", run_id="abc1"), tracked("abc", run_id="ffff")]
    assert find("abc", runs)[0].name == "abc"


def test_an_experiment_is_meant_by_the_name_that_dvc_has_drawn_for_it_too() -> None:
    one, other = tracked("cnn-s0", run_id="1"), tracked("cnn-s0", run_id="2")
    other.tags["dvc_experiment"] = "whole-quey"
    assert find("whole-quey", [one, other]) == (other, [])


def test_an_ambiguous_beginning_names_the_candidates() -> None:
    runs = [tracked("shy-owl", run_id="ab12"), tracked("bold-fox", run_id="ab34"), tracked("x", run_id="cd")]
    with pytest.raises(DataError, match="2 runs have ids that begin with ab: shy-owl .ab12, 2026-05-04 12:30., bold-fox .ab34,"):
        find("ab", runs)


@pytest.mark.parametrize(
    ("wanted", "names", "words"),
    [
        ("shy-owk", ["shy-owl", "bold-fox"], "there is no run named shy-owk.*; nearest: shy-owl$"),
        ("digits", ["cnn-digits-0504-123000", "bold-fox"], "nearest: cnn-digits-0504-123000$"),
        ("qqq", ["shy-owl", "bold-fox"], "the latest are shy-owl, bold-fox$"),
        ("qqq", [], "the experiment has no runs at all; train one with `dvc repro`"),
    ],
)
def test_an_unknown_run_is_told_with_the_nearest_names(wanted: str, names: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        find(wanted, [tracked(name, run_id=f"{i:032}") for i, name in enumerate(names, 10**9)])


def test_of_several_runs_of_one_name_the_latest_is_taken_and_the_others_are_told(
    store: Store, told: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = train(store, "shy-owl"), train(store, "shy-owl", minutes=1)
    found = compare.named(["shy-owl"], listed(store))
    assert [run.id for run in found] == [second]
    said = capsys.readouterr().err
    assert said.startswith("2 runs are named shy-owl; this is the latest")
    assert first[:8] in said.partition("by id:")[2]


def test_a_run_named_twice_is_shown_once_and_in_the_order_of_the_command(store: Store) -> None:
    owl, fox = train(store, "shy-owl"), train(store, "bold-fox", minutes=1)
    assert [run.id for run in compare.named(["shy-owl", "bold-fox", owl], listed(store))] == [owl, fox]


def test_without_names_the_latest_finished_runs_are_compared(store: Store) -> None:
    for i in range(4):
        train(store, f"run-{i}", minutes=i)
    train(store, "failed", status="FAILED", minutes=9)
    assert [run.name for run in latest(store, 2)] == ["run-3", "run-2"]


def test_a_store_without_finished_runs_is_told(store: Store) -> None:
    train(store, "failed", status="FAILED")
    with pytest.raises(DataError, match="MLflow's experiment images has no finished run; train one with `dvc repro`"):
        latest(store, 10)


def test_all_pages_of_a_large_store_are_listed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(5):
        train(store, f"run-{i}", minutes=i)
    search = store.client.search_runs
    monkeypatch.setattr(store.client, "search_runs", lambda *args, **kwargs: search(*args, **kwargs | {"max_results": 2}))
    assert [run.name for run in listed(store)] == [f"run-{i}" for i in (4, 3, 2, 1, 0)]


def test_an_unknown_run_is_exit_code_65(store: Store, told: Compare, signals: None, capsys: pytest.CaptureFixture[str]) -> None:
    train(store, "shy-owl")
    assert exit_code("compare", lambda: told("shy-owk")) == 65
    assert "compare failed: there is no run named shy-owk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["a", "--latest", "2"], "name runs or give --latest, not both"), (["--latest", "0"], "--latest 0: expected 1 or more")],
)
def test_arguments_that_contradict_are_refused(arguments: list[str], words: str, told: Compare, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        told(*arguments)
    assert words in capsys.readouterr().err


# Parameters


def test_only_parameters_that_differ_are_shown_and_the_equal_ones_counted(store: Store, told: Compare) -> None:
    train(store, "a")
    train(store, "b", params={"optimizer.lr": "0.01"})
    said = told("a", "b")
    assert line(said, "optimizer.lr") == ["0.003", "0.01"]
    assert "3 parameters are equal\n" in said
    assert "\nseed" not in said


def test_a_parameter_that_one_run_lacks_is_a_dash(store: Store, told: Compare) -> None:
    train(store, "a", params={"optimizer.momentum": "0.9"})
    train(store, "b")
    assert line(told("a", "b"), "optimizer.momentum") == ["0.9", "–"]


def test_parameters_that_another_choice_brings_are_counted_unless_all_are_wanted(store: Store, told: Compare) -> None:
    train(store, "a", params={"model.name": "cnn", "model._target_": "CNN", "model.layers.conv1.filters": "16"})
    train(store, "b", params={"model.name": "lenet", "model._target_": "LeNet"})
    said = told("a", "b")
    assert "conv1" not in said
    assert "2 more of model go with cnn or lenet: --all shows them" in said
    assert line(told("a", "b", "--all"), "model.layers.conv1.filters") == ["16", "–"]


def test_a_layer_that_one_run_adds_to_the_same_network_is_shown(store: Store, told: Compare) -> None:
    train(store, "a", params={"model.name": "cnn", "model.layers.conv4.filters": "16"})
    train(store, "b", params={"model.name": "cnn"})
    assert line(told("a", "b"), "model.layers.conv4.filters") == ["16", "–"]


def test_runs_with_equal_parameters_are_told_so(store: Store, told: Compare) -> None:
    train(store, "a")
    train(store, "b")
    assert "4 parameters are equal, none differs" in told("a", "b")


def test_values_that_look_like_markup_are_shown_as_they_are(store: Store, told: Compare) -> None:
    train(store, "a", params={"x": "[bold]"})
    train(store, "b", params={"x": "[-8, 8]"})
    assert line(told("a", "b"), "x") == ["[bold]", "[-8, 8]"]


def test_long_values_are_cut_to_where_they_differ() -> None:
    common = "torch.optim.lr_scheduler."
    assert shortened([f"{common}StepLR", f"{common}CosineAnnealingLR", "–"], 24) == [
        "…heduler.StepLR",
        "…heduler.CosineAnnealin…",
        "–",
    ]
    assert shortened(["['0', '1', '2', '3', '4', '5']", "–"], 12) == ["['0', '1',…", "–"]
    assert shortened(["short", "longer"], 6) == ["short", "longer"]


# Data and code


def test_the_same_data_and_code_are_told(store: Store, told: Compare) -> None:
    train(store, "a")
    train(store, "b")
    said = told("a", "b")
    assert "all trained on the same data\nall trained by the same code\n" in said
    assert line(said, "data") == ["digits 1896f06f"] * 2
    assert line(said, "code") == ["78fae1b7"] * 2


def test_runs_on_different_data_are_said_not_to_compare_and_none_leads(store: Store, told: Compare) -> None:
    train(store, "a", {"validation/accuracy": [0.5]})
    train(store, "b", {"validation/accuracy": [0.9]}, tags={"data_digest": "ffffffffffff"})
    said = told("a", "b")
    assert "trained on different data: accuracies do not compare" in said
    assert line(said, "validation/accuracy best") == ["0.5000 @1", "0.9000 @1"]


def test_among_runs_on_different_data_those_on_the_same_compare(store: Store, told: Compare) -> None:
    for name, accuracy, data in (("a", 0.5, "x"), ("b", 0.9, "y"), ("c", 0.6, "x")):
        train(store, name, {"test/accuracy": [accuracy]}, tags={"data_digest": data})
    said = told("a", "b", "c")
    assert line(said, "test/accuracy") == ["0.5000", "0.9000", "0.6000 *"]
    assert "* best run on the same data" in said


def test_a_run_that_does_not_name_its_data_may_not_compare() -> None:
    unknown = replace(tracked("b"), tags={})
    assert leaders("test/accuracy", [0.1, 0.2], [unknown, unknown]) == frozenset()
    assert compare.data_sentence([tracked("a"), unknown]) == "not every run says what data it was trained on: accuracies may not compare"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"commit": "0123456789ab"}, "trained at different commits: the code may differ (git diff 78fae1b7 01234567 -- pipeline)"),
        ({"dirty": "true"}, "all trained at the same commit, but with changes that were not committed: the code may differ"),
        ({"commit": "not in git"}, "not every run says by what code it was trained"),
    ],
)
def test_code_that_may_differ_is_told(changed: dict[str, str], sentence: str) -> None:
    assert compare.code_sentence([tracked("a"), replace(tracked("b"), tags=TAGS | changed)]) == sentence


def test_state_start_and_duration_are_shown(store: Store, told: Compare) -> None:
    train(store, "a")
    train(store, "b", status="KILLED", tags={"dirty": "true", "machine": "arm64", "device": "Apple M2 DEFAULT"})
    said = told("a", "b")
    assert line(said, "state") == ["finished", "killed"]
    assert line(said, "started") == ["2026-05-04 12:30"] * 2
    assert line(said, "took") == ["0:01:23"] * 2
    assert line(said, "code") == ["78fae1b7", "78fae1b7 dirty"]
    assert line(said, "machine") == ["x86_64", "arm64"]
    assert line(said, "device") == ["GenuineIntel AVX512", "Apple M2 DEFAULT"]
    assert "\ntorch" not in said


def test_a_run_restored_from_its_bundle_has_no_duration(store: Store, told: Compare) -> None:
    train(store, "a", tags={"restored": "true"})
    train(store, "b")
    said = told("a", "b")
    assert line(said, "state") == ["finished, restored", "finished"]
    assert line(said, "took") == ["–", "0:01:23"]


# Figures


def test_best_and_last_values_are_shown_and_the_best_run_is_marked(store: Store, told: Compare) -> None:
    train(store, "a", {"validation/loss": [0.9, 0.2, 0.4], "validation/accuracy": [0.5, 0.7, 0.6]})
    train(store, "b", {"validation/loss": [0.8, 0.3, 0.1], "validation/accuracy": [0.4, 0.6, 0.5]})
    said = told("a", "b")
    assert line(said, "validation/loss best") == ["0.2000 @2", "0.1000 @3 *"]
    assert line(said, "validation/loss last") == ["0.4000", "0.1000"]
    assert line(said, "validation/accuracy best") == ["0.7000 @2 *", "0.6000 @2"]
    assert line(said, "kept epoch") == ["2 of 3", "3 of 3"]
    assert "train/loss" not in said


def test_test_figures_are_those_of_the_kept_epoch(store: Store, told: Compare) -> None:
    train(store, "a", {"validation/loss": [0.9, 0.2], "test/accuracy": [0.75]})
    train(store, "b", {"validation/loss": [0.9, 0.3], "test/accuracy": [0.5]})
    said = told("a", "b")
    assert line(said, "test/accuracy") == ["0.7500 *", "0.5000"]
    assert "kept are the weights of the epoch with the best validation/loss; test figures are theirs" in said


def test_the_kept_epoch_follows_each_runs_monitor() -> None:
    curves = {"validation/loss": [0.9, 0.2, 0.4], "validation/accuracy": [0.5, 0.6, 0.8]}
    by_accuracy = tracked("b", curves, **{"training.monitor": "validation/accuracy"})
    assert [kept_epoch(tracked("a", curves)), kept_epoch(by_accuracy), kept_epoch(tracked("c"))] == [2, 3, None]


def test_the_first_of_equally_good_epochs_is_the_best() -> None:
    assert best_epoch("validation/loss", {1: 0.5, 2: 0.2, 3: 0.2}) == 2
    assert best_epoch("validation/accuracy", {1: 0.5, 2: 0.9, 3: 0.9}) == 2


def test_a_loss_that_left_the_finite_is_never_best_but_may_be_last(store: Store) -> None:
    train(store, "a", {"train/loss": [0.5, math.nan, math.inf]})
    run = with_curves(store, latest(store, 1)[0])
    assert values([run], "train/loss best") == [0.5]
    assert values([run], "train/loss last") == [math.inf]
    assert best_epoch("train/loss", {1: math.nan}) is None


def test_a_step_that_was_logged_again_counts_by_its_latest_value(store: Store) -> None:
    run = train(store, "a", {"test/accuracy": [0.5]})
    store.client.log_metric(run, "test/accuracy", 0.75, START + 1000, 1)
    assert values([with_curves(store, latest(store, 1)[0])], "test/accuracy") == [0.75]


def test_of_speeds_the_median_is_told_and_other_metrics_are_left_out(store: Store) -> None:
    train(store, "a", {"images_per_second": [10, 90, 100], "epoch_seconds": [9, 2, 1], "system/cpu": [5], "learning_rate": [0.1]})
    run = with_curves(store, latest(store, 1)[0])
    assert run.curves.keys() == {"images_per_second", "epoch_seconds"}
    found = figures([run])
    assert {figure.label: figure.values for figure in found} == {"images_per_second median": [90], "epoch_seconds median": [2]}


@pytest.mark.parametrize(
    ("changed", "without_leader"),
    [
        ("loss.label_smoothing", {"train/loss", "validation/loss"}),
        ("augmentation.name", {"train/loss", "train/accuracy"}),
        ("optimizer.lr", set()),
    ],
)
def test_metrics_that_measure_something_else_have_no_leader(changed: str, without_leader: set[str]) -> None:
    metrics = ["train/loss", "train/accuracy", "validation/loss", "validation/accuracy", "test/loss", "test/accuracy"]
    runs = [tracked(name, {metric: [value] for metric in metrics}, **{changed: name}) for name, value in (("a", 0.1), ("b", 0.2))]
    leading = {figure.metric for figure in figures(runs) if figure.leaders}
    assert set(metrics) - leading == without_leader


def test_runs_that_are_equally_good_all_lead_unless_there_are_no_others() -> None:
    runs = [tracked(name) for name in "abcde"]
    assert leaders("test/accuracy", [0.9, 0.8, 0.9, None, math.nan], runs) == {0, 2}
    assert leaders("test/accuracy", [0.9, 0.9], runs[:2]) == frozenset()


@pytest.mark.parametrize(
    ("value", "text"), [(0.98765, "0.9877"), (0, "0.0000"), (0.00012, "1.2e-04"), (12345.6, "12,346"), (math.nan, "nan")]
)
def test_figures_are_shown_with_the_digits_that_tell_something(value: float, text: str) -> None:
    assert compare.number(value) == text


# Layout


def test_up_to_four_runs_stand_side_by_side_and_more_below_each_other(store: Store, told: Compare) -> None:
    for i in range(5):
        train(store, f"run-{i}", {"validation/loss": [0.5 + i]}, params={"seed": str(i)}, minutes=i)
    assert line(told("--latest", "4"), "seed") == ["4", "3", "2", "1"]
    below = told()
    assert [line.split()[:2] for line in below.partition("parameters that differ")[2].splitlines()[3:8]] == [
        [f"run-{i}", str(i)] for i in (4, 3, 2, 1, 0)
    ]


@pytest.mark.parametrize("runs", [2, 4, 6])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_broken(runs: int, width: int, store: Store, told: Compare) -> None:
    curves = {f"{split}/{name}": [0.125] for split in ("train", "validation", "test") for name in ("loss", "accuracy")}
    for i in range(runs):
        train(store, f"cnn-digits-0504-12300{i}", curves, params={f"optimizer.betas{k}": str([i] * 30) for k in range(5)}, minutes=i)
    said = told(width=width)
    assert max(map(len, said.splitlines())) <= width
    assert said.count("0.1250 @1") == 4 * runs
    assert said.count("0.1250") == 10 * runs


def test_runs_of_one_name_are_told_apart_by_their_ids(store: Store, told: Compare) -> None:
    ids = [train(store, "shy-owl", minutes=i) for i in range(2)]
    said = told()
    assert all(f"shy-owl {run[:8]}" in said for run in ids)


def test_one_run_is_shown_alone(store: Store, told: Compare) -> None:
    train(store, "a", {"validation/loss": [0.5]})
    said = told("a")
    assert line(said, "validation/loss best") == ["0.5000 @1"]
    assert "4 parameters; name another run to see what differs" in said
    assert "same data" not in said


# For other programs


def test_the_table_holds_unrounded_values_of_all_that_differs(store: Store, told: Compare) -> None:
    run = train(store, "a", {"validation/loss": [0.123456789, 0.2]}, params={"model.name": "cnn", "model.layers.conv1.filters": "16"})
    train(store, "b", params={"model.name": "lenet"}, minutes=1)
    first, second = csv.DictReader(io.StringIO(told("a", "b", "--csv")))
    assert (first["id"], first["seconds"], first["kept_epoch"]) == (run, "83.0", "1")
    assert (first["validation/loss best"], first["validation/loss best epoch"], first["validation/loss last"]) == (
        "0.123456789",
        "1",
        "0.2",
    )
    assert (first["model.layers.conv1.filters"], second["model.layers.conv1.filters"]) == ("16", "")
    assert second["validation/loss best"] == ""
    assert "seed" not in first


def test_all_rows_of_the_table_have_the_same_columns() -> None:
    rows = table([tracked("a", {"test/loss": [0.5]}), tracked("b", seed="1")])
    assert rows[0].keys() == rows[1].keys()
    assert differing([tracked("a"), tracked("b", seed="1")]) == {"seed": ["0", "1"]}


def test_layers_in_another_order_are_a_difference_between_runs(small_config: Config, manifest: Manifest) -> None:
    one, other = asdict(small_config), asdict(small_config)
    other["model"]["layers"] = dict(reversed(one["model"]["layers"].items()))
    params = [begin_fields(config, manifest, {})["params"] for config in (one, other)]
    assert differing([tracked(**of_run) for of_run in params]).keys() == {"model.layers._order_"}


# Whether a difference is real


def answered(store: Store, name: str, right: list[bool], folder: str = "a", **more: Any) -> str:
    """Write a run that was evaluated, with its answers on as many test images. folder: of these images."""
    run = train(store, name, {"test/accuracy": [sum(right) / len(right)]}, **more)
    rows = [f"{folder}/{i}.png,yes,{'yes' if is_right else 'no'},0.9" for i, is_right in enumerate(right)]
    text = "\n".join(["path,actual,predicted,probability", *rows]) + "\n"
    store.client.log_text(run, text, "reports/predictions.csv")
    return run


GOOD = [True] * 190 + [False] * 10
POOR = [True] * 150 + [False] * 50
OTHERWISE = [True] * 188 + [False, True] * 6


def test_a_run_that_is_really_better_is_said_to_be_with_its_interval(store: Store, told: Compare) -> None:
    answered(store, "good", GOOD)
    answered(store, "poor", POOR, minutes=1)
    shown = told("good", "poor")
    assert "good is better than poor: +20.0 points, 14.2 to 25.4 (40 images only good gets right, 0 only poor)" in flat(shown)
    assert line(shown, "to the best") == ["the best", "-20.0 (-25.4 to -14.2)"]


def test_runs_that_can_t_be_told_apart_are_said_so_with_the_images_that_it_would_take(store: Store, told: Compare) -> None:
    answered(store, "good", GOOD)
    answered(store, "other", OTHERWISE)
    shown = flat(told("good", "other"))
    assert re.search(r"can't tell other from good: \+2\.0 points, [-\d.]+ to [\d.]+; about [\d,]+ more test images would show", shown)


def test_several_comparisons_are_corrected(store: Store, told: Compare) -> None:
    for name, right in (("good", GOOD), ("poor", POOR), ("other", OTHERWISE)):
        answered(store, name, right)
    assert "corrected for 2 comparisons" in flat(told("good", "poor", "other"))
    assert line(told("other", "poor"), "to the best")[1] == "-22.0 (-27.6 to -16.0)"
    assert line(told("other", "poor", "good"), "to the best")[1] == "-22.0 (-28.4 to -15.2)"


def test_runs_with_the_same_answers_are_said_to_have_them(store: Store, told: Compare) -> None:
    for name in ("one", "two"):
        answered(store, name, GOOD)
    shown = told("one", "two")
    assert "can't tell one from two: the same images right" in shown
    assert line(shown, "to the best") == ["the best", "+0.0 (-1.0 to +1.0)"]


def test_runs_with_other_test_images_are_not_compared(store: Store, told: Compare) -> None:
    answered(store, "good", GOOD)
    answered(store, "less", POOR[100:])
    answered(store, "others", POOR, folder="b")
    train(store, "never", {"validation/loss": [0.3]})
    assert "is the best really better?" not in told("good", "less", "others", "never")


def test_seeds_of_one_config_are_told_with_their_mean_and_deviation(store: Store, told: Compare) -> None:
    for seed, right in enumerate((GOOD, POOR, OTHERWISE)):
        answered(store, f"s{seed}", right, params={"seed": str(seed)})
    answered(store, "again", GOOD, params={"seed": "0"})  # a seed counts once
    answered(store, "fast", GOOD, params={"optimizer.lr": "0.1"})
    assert "3 seeds of one config (s0, s1, s2): test accuracy 0.8900 ± 0.1217" in flat(told("s0", "s1", "s2", "again", "fast"))


def flat(text: str) -> str:
    """Return text without its line breaks."""
    return " ".join(text.split())
