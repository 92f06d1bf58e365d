"""What a sweep's job leaves in its record."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from omegaconf import open_dict

from pipeline.config.job import RECORDS, Record, as_job, read_records
from pipeline.config.jobs import Jobs
from tests.samples import CONF


def refuse() -> None:
    raise OSError("no answer from https://anna:geheim@example.org/")


def test_a_secret_in_a_job_s_failure_stays_out_of_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with initialize_config_dir(str(CONF), version_base=None):
        cfg = compose("config", return_hydra_config=True)
    with open_dict(cfg):
        cfg.hydra.job.num, cfg.hydra.sweep.dir, cfg.hydra.runtime.cwd = 0, str(tmp_path), str(tmp_path)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", cfg)
    (tmp_path / RECORDS).mkdir()
    as_job(refuse, cfg, (socket.gethostname(), os.getpid()))
    assert read_records(tmp_path / RECORDS)[0].code == 1
    assert "geheim" not in (tmp_path / RECORDS / "0.json").read_text()


class Launcher:
    """Starts a job and waits for nothing, as one that works apart does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def launch(self, points: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        self.record(None)
        return [JobReturn() for _ in points]

    def record(self, code: int | None) -> None:
        Record(0, socket.gethostname(), os.getpid(), 0.0, code, result="done").write(self.folder)


def test_a_job_that_ends_while_it_is_looked_at_has_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs, launcher = Jobs("train", {0: ["seed=1"]}), Launcher(tmp_path / RECORDS)
    jobs.begin(launcher.folder)
    monkeypatch.setattr(Record, "has_died", lambda _: launcher.record(0) is None)
    jobs.launch(launcher, [["seed=1"]], 0)
    jobs.refuse_failures()
    assert capsys.readouterr().err == ""
