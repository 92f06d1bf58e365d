"""Which process of a data-parallel training this one is, by the environment that torchrun or SLURM gives it.

Rank 0 is the training: it logs, writes and prints; the others share its steps. Where neither has started the ranks, the command
does it itself (training/launch.py)."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from pipeline.config.atomic import replace
from pipeline.config.errors import ConfigError, Stopped
from pipeline.config.schema import Training

NAMES = ("RANK", "NODE_RANK", "SLURM_PROCID")
INTERACTIVE = ("bash", "interactive")  # names of SLURM's jobs that are shells: what is typed there SLURM has not started
ERROR_FILE = "TORCHELASTIC_ERROR_FILE"


def ranks_of(training: Training) -> int:
    """Return how many processes train together: the world size."""
    return training.devices * training.nodes


def at_once(training: Training) -> int:
    """Return the images of a micro-batch: those that a device computes at once."""
    return max(1, training.batch_size // (training.accumulate * ranks_of(training)))


def rank_of(training: Training) -> int:
    """Return this process's rank; 0 where it is the only one, whatever started it.

    On a further machine (NODE_RANK) the process that starts the ranks there has that of the first of them."""
    if ranks_of(training) == 1:
        return 0
    if "RANK" in os.environ:
        return _number("RANK")
    if _is_task_of_slurm(training):
        return _number("SLURM_PROCID")
    return _number("NODE_RANK") * training.devices


def starts_ranks(training: Training) -> bool:
    """Tell whether this process has to start the ranks. Raises ConfigError where torchrun has started another number of them."""
    ranks = ranks_of(training)
    if ranks > 1 and "RANK" in os.environ and (world := _number("WORLD_SIZE")) != ranks:
        raise ConfigError(
            f"torchrun has started {world} processes, but training.devices={training.devices} * training.nodes={training.nodes} is "
            f"{ranks}; give torchrun --nnodes {training.nodes} --nproc-per-node {training.devices}, or change these",
            "training.devices",
        )
    return ranks > 1 and "RANK" not in os.environ and not _is_task_of_slurm(training)


def may_be_nonzero_rank() -> bool:
    """Tell, before the config is known, whether this process may have a rank other than 0."""
    return any(_number(name) for name in NAMES)


@contextmanager
def as_nonzero_rank() -> Iterator[None]:
    """Run as a rank other than 0: print errors only, and exit at once when stopped, as rank 0 stops too and cleans up."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            yield
        except Stopped as stopped:
            sys.stderr.flush()
            os._exit(stopped.exit_code)


def record_failure(code: int, reason: str, traceback: str = "") -> None:
    """Write why this rank ends into the file from which torchrun names the first failure, in its own format (as torch's `@record`)."""
    extra = {"py_callstack": traceback, "timestamp": str(int(time.time()))}
    replace(Path(os.environ[ERROR_FILE]), json.dumps({"message": {"message": reason, "errorCode": code, "extraInfo": extra}}))


def _is_task_of_slurm(training: Training) -> bool:
    is_shell = os.environ.get("SLURM_JOB_NAME") in INTERACTIVE
    return _number("SLURM_NTASKS") == ranks_of(training) and not is_shell


def _number(name: str) -> int:
    return int(os.environ.get(name, 0))
