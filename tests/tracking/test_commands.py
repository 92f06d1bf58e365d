"""The commands about runs that need no training: champion and deliver."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.command import champion, deliver
from pipeline.config.errors import NetworkError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.delivery import offer_refused, settle
from pipeline.tracking.journal import COURIER, Journal, refused, waiting
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from tests.samples import CLASSES

Said = Callable[..., list[str]]


@pytest.fixture
def said(home: Path, conf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Returns what a command prints in the project."""
    (home / "conf").symlink_to(conf)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def said(main: Callable[[], None], *arguments: str) -> list[str]:
        monkeypatch.setattr(f"{main.__module__}.WORKSPACE", home)
        monkeypatch.setattr("sys.argv", ["command", *arguments])
        capsys.readouterr()
        main()
        return capsys.readouterr().out.splitlines()

    return said


@pytest.mark.parametrize(("options", "name"), [((), "digits"), (("--model", "mine"), "mine")])
def test_champion_crowns_a_version_of_the_config_s_model_or_of_the_one_that_is_named(
    options: tuple[str, ...], name: str, store: Store, said: Said, tmp_path: Path
) -> None:
    for model in ("digits", "mine"):
        store.client.create_registered_model(model)
        store.client.create_model_version(model, str(tmp_path))
    assert said(champion.main, "1", *options) == [f"{name} version 1 is the champion: no figures"]
    assert [model for model in ("digits", "mine") if "champion" in store.client.get_registered_model(model).aliases] == [name]


def test_champion_finds_the_model_that_is_called_after_the_classes(home: Path, store: Store, said: Said, written_bundle: Path) -> None:
    (home / "bundle").symlink_to(written_bundle)
    store.client.create_registered_model("-".join(CLASSES))
    store.client.create_model_version("-".join(CLASSES), str(written_bundle))
    assert said(champion.main, "1", "--model", "{classes}") == ["top-middle-bottom version 1 is the champion: no figures"]


def tell(home: Path, cfg: Config, manifest: Manifest, lost: str | None = None, **tags: str) -> Path:
    """Write the journal of a training that ended; lost: a file that it names and has not."""
    run = Run(Journal(home))
    begin(run, dataclasses.asdict(cfg), manifest, **tags)
    if lost:
        run.journal.write("artifact", file=lost, folder=None, unless=None)
    run.end("FINISHED")
    run.journal.close()
    return run.journal.folder


def test_deliver_counts_what_it_has_delivered(home: Path, cfg: Config, manifest: Manifest, said: Said) -> None:
    for _ in range(2):
        tell(home, cfg, manifest)
    assert said(deliver.main) == ["delivered: 2 of 2 journals"]
    assert waiting(home) == []


def test_deliver_fails_where_a_store_is_away_and_brings_the_others(
    home: Path, cfg: Config, manifest: Manifest, said: Said, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tell(home, cfg, manifest)
    cfg.tracking.uri = "http://127.0.0.1:9"
    away = tell(home, cfg, manifest)
    with pytest.raises(NetworkError, match=away.name):
        said(deliver.main)
    assert capsys.readouterr().out == "delivered: 1 of 2 journals\n"
    assert waiting(home) == [away]


def test_deliver_offers_again_what_mlflow_has_refused(home: Path, cfg: Config, manifest: Manifest, said: Said) -> None:
    folder = tell(home, cfg, manifest, lost="files/9/found.txt")
    settle(home)
    assert refused(home) == [folder]
    (folder / "files" / "9").mkdir()
    (folder / "files" / "9" / "found.txt").write_text("found")
    assert said(deliver.main) == ["delivered: 0 of 0 journals", "refused before and taken now: 1 of 1 journal"]
    assert refused(home) == []


def test_deliver_leaves_trainings_that_go_on_to_their_couriers_and_says_so(home: Path, cfg: Config, manifest: Manifest, said: Said) -> None:
    tell(home, cfg, manifest)
    goes_on = Run(Journal(home))
    begin(goes_on, dataclasses.asdict(cfg), manifest, training="t1")
    tell(home, cfg, manifest, training="t1")
    assert said(deliver.main) == ["delivered: 1 of 3 journals; of trainings that go on: 1; to come after an earlier one: 1"]
    goes_on.journal.close()


def test_deliver_tells_all_that_has_to_wait_also_what_was_refused_before(
    home: Path, cfg: Config, manifest: Manifest, said: Said, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("pipeline.tracking.delivery.PATIENCE", 0.1)
    kept = tell(home, cfg, manifest, lost="files/9/found.txt")
    settle(home)
    cfg.tracking.uri = "http://127.0.0.1:9"
    away = tell(home, cfg, manifest)
    with FileLock(kept / COURIER), pytest.raises(NetworkError) as caught:  # another deliver is at work on it
        said(deliver.main)
    first, second = str(caught.value).splitlines()
    assert first.startswith("the MLflow store http://127.0.0.1:9 can't be used: ")
    assert away.name in first
    assert second.startswith("another command is still at work on it after 0.1 s. ")
    assert kept.name in second
    assert "delivered: 0 of 1 journal" in capsys.readouterr().out


def test_two_delivers_at_once_bring_each_journal_once(home: Path, cfg: Config, manifest: Manifest) -> None:
    folder = tell(home, cfg, manifest, lost="files/9/found.txt")
    settle(home)
    (folder / "files" / "9").mkdir()
    (folder / "files" / "9" / "found.txt").write_text("found")
    with ThreadPoolExecutor(2) as pool:
        with FileLock(folder / COURIER):
            both = [pool.submit(offer_refused, home) for _ in range(2)]
            time.sleep(0.2)
        assert [offered.result(60) for offered in both] == [[], []]
    assert refused(home) == waiting(home) == []
