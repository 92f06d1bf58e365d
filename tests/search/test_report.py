"""The report of a sweep says what was best, what mattered and how surely, what was not tried and what to try next."""

import base64
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import Bundle, make_network, write_bundle
from pipeline.config.search import Entry
from pipeline.config.sweep_words import Interval, Options
from pipeline.dataset.manifest import Manifest
from pipeline.search.findings import not_explored, what_next
from pipeline.search.importance import importances
from pipeline.search.ledger import Ledger
from pipeline.search.report import write_report
from pipeline.search.rows import Row
from pipeline.search.runner_up import runner_up, verdict
from tests.search.samples import KIND, RATE, begun, ledger_in, search

RATE_OF_GOOD = Entry("lr", RATE.values, "", when="kind=good")
SIDE = Entry("side", Options(("left", "right")), "")


def run(ledger: Ledger) -> None:
    """End all trials of a sweep over KIND, SIDE and a rate: only the kind matters, and a good one's rate; one bad trial is pruned."""
    while task := ledger.next():
        drawn = dict(word.split("=") for word in task.varied)
        is_good = drawn["kind"] == "good"
        score = 0.9 + 0.03 * np.log10(float(drawn["lr"])) if is_good else 0.5
        for epoch in (1, 2):
            ledger.report(task.number, epoch, score * epoch / 2)
        if task.number == 3:
            ledger.prune(task.number, "pruned after epoch 2")
        else:
            ledger.complete(task.number, 0, score + 1e-4 * task.number)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    ledger = ledger_in(tmp_path_factory.mktemp("sweep"), search(KIND, SIDE, RATE_OF_GOOD, trials=24), name="kinds")
    run(ledger)
    return ledger


def page_of(ledger: Ledger, folder: Path) -> str:
    write_report(ledger, folder / "report.html", folder, folder / "prepared")
    return (folder / "report.html").read_text()


def lines(page: str, heading: str) -> list[str]:
    return re.findall("<li>(.*?)</li>", page.partition(f">{heading}</h")[2].partition("</ul>")[0])


@pytest.fixture(scope="module")
def page(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(ledger, tmp_path_factory.mktemp("page"))


def test_a_report_is_one_file_with_all_its_pictures_and_the_command_of_the_best(page: str, ledger: Ledger) -> None:
    assert re.findall(r"""(?:src|href)=["'](?!data:)""", page) == []
    assert "://" not in page.replace("svg+xml", "")
    pictures = [base64.b64decode(found).decode() for found in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)]
    assert len(pictures) == 8  # trials in their order, curves, all keys; importance of all, and below the condition; three keys
    assert all(picture.rstrip().endswith("</svg>") for picture in pictures)
    best = ledger.best()
    assert best is not None
    assert f"<pre>python -m pipeline.stage.train {' '.join(best.words)}</pre>" in page
    assert page.count('<tr class="') == 24


def test_it_says_what_mattered_and_how_surely(page: str) -> None:
    first, second, compared, luck = lines(page, "What it teaches")
    assert re.match(r"kind explains (9\d|100)% of the differences \(\d+% to 1?\d+%\); side \d%\.", first)
    assert re.match(r"With kind=good: lr explains \d\d% of the differences", second)
    assert "can&#39;t be said: the prepared images are not here" in compared
    assert "the test images say what it is worth" in luck


def test_shares_are_of_keys_that_vary_together_with_their_range(ledger: Ledger) -> None:
    always, good = importances(ledger.study, ledger.search)
    assert (always.condition, good.condition) == ("", "kind=good")
    assert always.trials == 23
    assert [share.name for share in always.shares] == ["kind", "side"]
    assert [share.name for share in good.shares] == ["lr (kind=good)", "side"]
    for group in (always, good):
        assert all(share.low <= share.mean <= share.high for share in group.shares)
        assert sum(share.mean for share in group.shares) == pytest.approx(1)


def test_it_says_what_to_try_next(page: str) -> None:
    found = lines(page, "What to try next")
    assert any(re.match(r"kind=bad is in none of the 6 best trials, though \d+ had it: it may be left out\.", line) for line in found)


def test_a_sweep_without_a_score_has_a_report_too(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=2))
    ledger.fail(begun(ledger).number, "Traceback\n<b>a bug</b>", again=False)
    page = page_of(ledger, tmp_path)
    assert lines(page, "What it teaches") == ["No trial is complete yet."]
    assert lines(page, "What was not explored") == ["lr has no trial with a score."]
    assert "&lt;b&gt;a bug&lt;/b&gt;" in page


def test_few_trials_say_that_they_are_few(tmp_path: Path) -> None:
    ledger = ledger_in(tmp_path, search(trials=1))
    ledger.complete(begun(ledger).number, 0, 0.5)
    page = page_of(ledger, tmp_path)
    assert lines(page, "What it teaches") == ["1 complete trial: too few to say which key matters; it takes 10 or more."]
    assert "No trial has told its score after each epoch" in page


@pytest.mark.parametrize("curve", [{}, {1: math.nan, 2: math.inf}, {1: 0.5, 2: math.nan, 3: 0.5}])
def test_equal_scores_and_diverged_epochs_can_be_drawn(tmp_path: Path, curve: dict[int, float]) -> None:
    unlike = Entry("a.very.long.key.of.the.config", Options(("null", "a" * 60)), "")
    ledger = ledger_in(tmp_path, search(unlike, RATE, trials=11))
    for _ in range(11):
        task = begun(ledger)
        for epoch, score in curve.items():
            ledger.report(task.number, epoch, score)
        ledger.complete(task.number, 0, 0.5)
    assert "<h2>Score over each key</h2>" in page_of(ledger, tmp_path)


def row(number: int, value: float | None, state: str = "complete", same_as: int | None = None, **values: float | str) -> Row:
    return Row(number, number, 1, state, (), value, "", 1.0, values, {}, same_as)


def test_options_pairs_and_parts_of_ranges_without_a_trial_are_told() -> None:
    kinds, size = Entry("kind", Options(("a", "b", "c")), ""), Entry("size", Interval(10, 110), "")
    wanted = search(kinds, SIDE, size)
    tried = [
        row(0, 0.5, kind="a", side="left", size=10),
        row(1, 0.5, kind="b", side="right", size=40),
        row(2, 0.4, kind="a", side="right", size=60),
    ]
    failed = row(3, None, "fail", kind="c", side="left", size=80)
    assert list(not_explored(wanted, [*tried, failed])) == [
        "kind=c has no trial with a score",
        "size has no trial between 10 and 40",
        "size has no trial between 60 and 110",
        "kind=b with side=left",
    ]


@pytest.mark.parametrize(
    ("best", "words"),
    [
        (0, "None of the 11 trials after the best was better: more of the same will hardly help"),
        (11, "The best came late, with 0 trials after it: more trials may well find a better one"),
    ],
)
def test_more_trials_are_advised_where_the_best_came_late(best: int, words: str) -> None:
    rows = [row(n, 1.0 if n == best else 0.5, lr=0.03) for n in range(12)]
    assert list(what_next(search(), rows, rows[best], 1)) == [words]


@pytest.mark.parametrize(
    ("rate", "words"), [(0.0012, "lower end of 0.001 to 1: try smaller ones"), (0.9, "upper end of 0.001 to 1: try larger ones")]
)
def test_a_best_value_near_an_end_of_its_range_says_to_widen_it(rate: float, words: str) -> None:
    best = row(0, 0.9, lr=rate)
    assert list(what_next(search(), [best], best, 1)) == [f"The best lr, {rate:g}, is near the {words}"]


def test_an_option_that_may_lack_good_trials_by_chance_is_not_blamed() -> None:
    rows = [row(n, 0.9 if n < 3 else 0.5, kind="good" if n < 9 else "bad", lr=0.03) for n in range(12)]
    assert not [line for line in what_next(search(KIND), rows, rows[0], 1) if "kind=bad" in line]


def test_the_runner_up_is_another_training() -> None:
    rows = [row(0, 0.9), row(1, 0.9, same_as=0), row(2, 0.99, "pruned"), row(3, 0.7), row(4, 0.8)]
    for best in rows[:2]:
        second = runner_up(rows, best, 1)
        assert second is not None
        assert second.number == 4


def test_the_best_two_are_compared_on_the_same_images(written_bundle: Path, prepared: Path, manifest: Manifest, tmp_path: Path) -> None:
    one = Bundle.read(written_bundle)
    torch.manual_seed(1)
    other = make_network(one.config["model"], manifest, None)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "bundle").symlink_to(written_bundle)
    (tmp_path / "1" / "bundle").mkdir(parents=True)
    write_bundle(tmp_path / "1" / "bundle", other, manifest, one.config, one.history[0], one.history, one.filters)
    images, labels = torch.from_numpy(np.load(prepared / "validation.npy")), np.load(prepared / "validation_labels.npy")
    right = [(Bundle.read(tmp_path / n / "bundle").predictor()(images).argmax(1).numpy() == labels) for n in "01"]
    alone = [int((right[a] & ~right[b]).sum()) for a, b in ((0, 1), (1, 0))]
    found = verdict(row(2, 0.5, same_as=0), row(1, 0.4), tmp_path, prepared, "validation/accuracy")
    assert found.startswith(
        f"Of the 9 validation images, trial 2 alone is right on {alone[0]} and trial 1, the second, alone on {alone[1]} "
    )
    assert found.endswith("so they are told apart")
    (tmp_path / "1" / "bundle" / "bundle.json").unlink()
    assert verdict(row(0, 4 / 9), row(1, 0.4), tmp_path, prepared, "validation/accuracy").endswith(
        "on 9 validation images 0.4444 is known to 0.1370 to 0.7880 (95%)"
    )
