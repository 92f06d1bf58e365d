"""What ranks do in tests of their start and end; a module of its own, as each rank imports it."""

import os
import time
from pathlib import Path
from signal import Signals

from pipeline.config.errors import DataError
from pipeline.config.paths import Places
from pipeline.config.ranks import ERROR_FILE, rank_of
from pipeline.config.schema import Config

FAULT = "FAULT"  # environment variable: what becomes of rank 1


def tell_rank(cfg: Config, places: Places) -> int:
    print(f"rank {rank_of(cfg.training)}")
    return rank_of(cfg.training) + 7


def fail_as_rank_1(cfg: Config, places: Places) -> None:
    """Rank 0 is killed when the agent has noticed that rank 1 has failed, as one that is blocked in a collective."""
    if not rank_of(cfg.training):
        time.sleep(60)
    fault = os.environ[FAULT]
    if fault == "error":
        raise DataError("an image is missing")
    if fault == "report":
        Path(os.environ[ERROR_FILE]).write_text('{"message": {"mess')
        fault = "SIGKILL"
    os.kill(os.getpid(), Signals[fault])
