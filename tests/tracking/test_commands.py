"""The commands about runs that need no training: champion and upload."""

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.command import champion, deliver, sync
from pipeline.config.errors import NetworkError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.tracking.events import UPLOADER, EventLog, refused, waiting
from pipeline.tracking.run import Run, begin
from pipeline.tracking.store import Store
from pipeline.tracking.sync import sync_refused, sync_waiting
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
def test_champion_promotes_a_version_of_the_config_s_model_or_of_the_one_that_is_named(
    options: tuple[str, ...], name: str, store: Store, said: Said, tmp_path: Path
) -> None:
    for model in ("digits", "mine"):
        store.client.create_registered_model(model)
        store.client.create_model_version(model, str(tmp_path))
    assert said(champion.main, "1", *options) == [f"{name} version 1 is the champion: no metrics"]
    assert [model for model in ("digits", "mine") if "champion" in store.client.get_registered_model(model).aliases] == [name]


def test_champion_finds_the_model_that_is_called_after_the_classes(home: Path, store: Store, said: Said, written_bundle: Path) -> None:
    (home / "bundle").symlink_to(written_bundle)
    store.client.create_registered_model("-".join(CLASSES))
    store.client.create_model_version("-".join(CLASSES), str(written_bundle))
    assert said(champion.main, "1", "--model", "{classes}") == ["top-middle-bottom version 1 is the champion: no metrics"]


def tell(home: Path, cfg: Config, manifest: Manifest, lost: str | None = None, **tags: str) -> Path:
    """Write the log of a training that ended; lost: a file that it names and has not."""
    run = Run(EventLog(home))
    begin(run, dataclasses.asdict(cfg), manifest, **tags)
    if lost:
        run.events.write("artifact", file=lost, folder=None, unless=None)
    run.end("FINISHED")
    run.events.close()
    return run.events.folder


def test_sync_counts_what_it_has_uploaded(home: Path, cfg: Config, manifest: Manifest, said: Said) -> None:
    for _ in range(2):
        tell(home, cfg, manifest)
    assert said(sync.main) == ["synced: 2 of 2 event logs"]
    assert waiting(home) == []


def test_the_old_name_deliver_still_syncs_and_says_the_new_one(
    home: Path, cfg: Config, manifest: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(home, cfg, manifest)
    monkeypatch.setattr(sync, "WORKSPACE", home)
    monkeypatch.setattr("sys.argv", ["deliver"])
    deliver.main()
    printed = capsys.readouterr()
    assert printed.out == "synced: 1 of 1 event log\n"
    assert (
        printed.err.splitlines()[0]
        == "note: this command is now `python -m pipeline.command.sync`; the old name goes with the next release"
    )
    assert waiting(home) == []


def test_sync_fails_where_a_store_is_away_and_brings_the_others(
    home: Path, cfg: Config, manifest: Manifest, said: Said, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    tell(home, cfg, manifest)
    cfg.tracking.uri = "http://127.0.0.1:9"
    away = tell(home, cfg, manifest)
    with pytest.raises(NetworkError, match=away.name):
        said(sync.main)
    assert capsys.readouterr().out == "synced: 1 of 2 event logs\n"
    assert waiting(home) == [away]


def test_sync_offers_again_what_mlflow_has_refused(home: Path, cfg: Config, manifest: Manifest, said: Said) -> None:
    folder = tell(home, cfg, manifest, lost="files/9/found.txt")
    sync_waiting(home)
    assert refused(home) == [folder]
    (folder / "files" / "9").mkdir()
    (folder / "files" / "9" / "found.txt").write_text("found")
    assert said(sync.main) == ["synced: 0 of 0 event logs", "rejected before and accepted now: 1 of 1 event log"]
    assert refused(home) == []


def test_sync_leaves_trainings_that_go_on_to_their_uploaders_and_says_so(home: Path, cfg: Config, manifest: Manifest, said: Said) -> None:
    tell(home, cfg, manifest)
    goes_on = Run(EventLog(home))
    begin(goes_on, dataclasses.asdict(cfg), manifest, training="t1")
    tell(home, cfg, manifest, training="t1")
    assert said(sync.main) == ["synced: 1 of 3 event logs; still running: 1; waiting for an earlier one: 1"]
    goes_on.events.close()


def test_sync_tells_all_that_has_to_wait_also_what_was_refused_before(
    home: Path, cfg: Config, manifest: Manifest, said: Said, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("pipeline.tracking.sync.PATIENCE", 0.1)
    kept = tell(home, cfg, manifest, lost="files/9/found.txt")
    sync_waiting(home)
    cfg.tracking.uri = "http://127.0.0.1:9"
    away = tell(home, cfg, manifest)
    with FileLock(kept / UPLOADER), pytest.raises(NetworkError) as caught:  # another upload is at work on it
        said(sync.main)
    first, second = str(caught.value).splitlines()
    assert first.startswith("the MLflow store http://127.0.0.1:9 can't be used: ")
    assert away.name in first
    assert second.startswith("another process is still uploading it after 0.1 s. ")
    assert kept.name in second
    assert "synced: 0 of 1 event log" in capsys.readouterr().out


def test_two_syncs_at_once_upload_each_log_once(home: Path, cfg: Config, manifest: Manifest) -> None:
    folder = tell(home, cfg, manifest, lost="files/9/found.txt")
    sync_waiting(home)
    (folder / "files" / "9").mkdir()
    (folder / "files" / "9" / "found.txt").write_text("found")
    with ThreadPoolExecutor(2) as pool:
        with FileLock(folder / UPLOADER):
            both = [pool.submit(sync_refused, home) for _ in range(2)]
            time.sleep(0.2)
        assert [offered.result(60) for offered in both] == [[], []]
    assert refused(home) == waiting(home) == []
