import pytest

from pipeline.config.rank import NAMES, at_once, may_help, rank_of
from tests.conftest import MakeConfig


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, 0),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, 1),  # Lightning's launcher
        ({"LOCAL_RANK": "1", "NODE_RANK": "2"}, 5),
        ({"NODE_RANK": "1"}, 2),  # the first of the second machine, started by a person
        ({"RANK": "3", "LOCAL_RANK": "1", "GROUP_RANK": "1"}, 3),  # torchrun
        ({"SLURM_PROCID": "2", "SLURM_LOCALID": "0"}, 2),
        ({"SLURM_PROCID": "0", "LOCAL_RANK": "1"}, 1),  # Lightning's launcher in a shell that SLURM has given
    ],
)
def test_the_rank_is_what_the_launcher_says(
    environment: dict[str, str], rank: int, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rank_of(config("training=ddp", "training.nodes=3").training) == rank
    assert may_help() is (rank > 0)
    assert rank_of(config().training) == 0  # as where SLURM starts one training for each of its tasks


def test_a_batch_is_shared_out_to_devices_and_parts(config: MakeConfig) -> None:
    assert at_once(config("training.batch_size=32").training) == 32
    assert at_once(config("training=ddp", "training.batch_size=32", "training.nodes=2", "training.accumulate=4").training) == 2
