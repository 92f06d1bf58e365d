import os
from pathlib import Path

import pytest
from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

from pipeline.config.errors import ConfigError
from pipeline.config.ranks import NAMES, at_once, may_be_nonzero_rank, rank_of, record_failure, starts_ranks
from tests.conftest import MakeConfig


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, "WORLD_SIZE", "SLURM_NTASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, 0),
        ({"NODE_RANK": "1"}, 2),  # the second machine's command, which starts ranks 2 and 3
        ({"RANK": "3", "LOCAL_RANK": "1", "GROUP_RANK": "1", "WORLD_SIZE": "6"}, 3),  # torchrun
        ({"SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_NTASKS": "6"}, 2),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "RANK": "1", "WORLD_SIZE": "6"}, 1),  # torchrun in a job of SLURM's
    ],
)
def test_the_rank_is_what_the_launcher_says(
    environment: dict[str, str], rank: int, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rank_of(config("training=ddp", "training.nodes=3").training) == rank
    assert may_be_nonzero_rank() is (rank > 0)
    assert rank_of(config().training) == 0  # as where SLURM starts one training for each of its tasks


@pytest.mark.parametrize(
    ("environment", "starts"),
    [
        ({}, True),
        ({"NODE_RANK": "1"}, True),
        ({"RANK": "0", "WORLD_SIZE": "2"}, False),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "train"}, False),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "bash"}, True),  # a shell that SLURM has given
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train"}, True),  # one task, which has two GPUs
    ],
)
def test_the_command_starts_the_ranks_where_nobody_else_has(
    environment: dict[str, str], starts: bool, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert starts_ranks(config("training=ddp").training) is starts
    assert not starts_ranks(config().training)


def test_torchrun_with_another_number_of_processes_is_refused(config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(ConfigError, match=r"torchrun has started 4 processes, but training.devices=2 \* training.nodes=1 is 2; give"):
        starts_ranks(config("training=ddp").training)


def test_a_failure_is_recorded_for_torchrun_as_it_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    record_failure(65, "an image is missing")
    failure = ProcessFailure(local_rank=1, pid=os.getpid(), exitcode=65, error_file=str(tmp_path / "error.json"))
    assert failure.error_file_data["message"]["message"] == "an image is missing"


def test_a_batch_is_shared_out_to_devices_and_parts(config: MakeConfig) -> None:
    assert at_once(config("training.batch_size=32").training) == 32
    assert at_once(config("training=ddp", "training.batch_size=32", "training.nodes=2", "training.accumulate=4").training) == 2
