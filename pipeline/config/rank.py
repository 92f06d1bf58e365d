"""Which process of a training on several devices this one is: rank 0 is the training, the others help it with its steps.

Lightning starts the same command once more for each further device of a machine; torchrun and SLURM start all ranks themselves."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from pipeline.config.errors import Stopped
from pipeline.config.schema import Training

LOCAL = "LOCAL_RANK"  # set by Lightning's launcher and by torchrun
NAMES = ("RANK", LOCAL, "NODE_RANK", "SLURM_PROCID")


def ranks_of(training: Training) -> int:
    """Return how many processes train together."""
    return training.devices * training.nodes


def at_once(training: Training) -> int:
    """Return how many images of a batch a device computes at once."""
    return max(1, training.batch_size // (training.accumulate * ranks_of(training)))


def rank_of(training: Training) -> int:
    """Return this process's number among all of the training; 0 where it is the only one, whatever started it."""
    if ranks_of(training) == 1:
        return 0
    if "RANK" in os.environ:  # torchrun
        return _number("RANK")
    if LOCAL in os.environ or "NODE_RANK" in os.environ:  # Lightning; SLURM_PROCID is that of its first process then
        return _number("NODE_RANK") * training.devices + _number(LOCAL)
    return _number("SLURM_PROCID")


def may_help() -> bool:
    """Tell, before a config is known, whether this process can be another one than the first."""
    return any(_number(name) for name in NAMES)


@contextmanager
def helping() -> Iterator[None]:
    """Let a helper work: it prints nothing but errors, and has nothing to clean up when it is stopped, as rank 0 is too."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            yield
        except Stopped as stopped:
            sys.stderr.flush()
            os._exit(stopped.exit_code)


def _number(name: str) -> int:
    return int(os.environ.get(name, 0))
