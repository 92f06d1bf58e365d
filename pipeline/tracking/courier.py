"""Delivers one training's journal while it grows: python -m pipeline.tracking.courier JOURNAL ROOT

A process of its own, started by the training: drawing filters, a slow server or a lost one take no time from it, and when
the training is killed, its run is ended."""

import os
import sys
import time
from pathlib import Path

from filelock import FileLock

from pipeline.config.errors import NetworkError
from pipeline.tracking.delivery import Delivery, waits
from pipeline.tracking.journal import COURIER, has_writer

NICE = 10  # the training goes first
LOOK = 0.1  # seconds between two looks whether the training lives
ROUND = 1.0  # seconds between two deliveries: fewer cost the training less, where both share a processor
AGAIN = 5.0  # seconds between two tries of a store that is away


def carry(folder: Path, home: Path) -> int:
    """Deliver until the journal's end; return the exit code, that of NetworkError where a part has to wait."""
    delivery = Delivery(folder, home)
    has_told = False
    while True:
        is_last = not has_writer(folder)  # asked first: what the writer told before it ended is still seen below
        try:
            if delivery.catch_up():
                return 0
            delivery.sample_system()
            pause = ROUND
        except NetworkError as error:
            if is_last:
                print(waits(folder, str(error)), file=sys.stderr)
                return error.exit_code
            if not has_told:
                print(f"note: {error}. The training goes on; its run is kept in {folder.parent.name}/{folder.name}", file=sys.stderr)
            has_told, pause = True, AGAIN
        wait(folder, pause)


def wait(folder: Path, seconds: float) -> None:
    """Wait, no longer than the journal's writer lives."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and has_writer(folder):
        time.sleep(LOOK)


if __name__ == "__main__":
    os.nice(NICE)
    journal, root = map(Path, sys.argv[1:])
    try:
        with FileLock(journal / COURIER):
            code = carry(journal, root)
    except FileNotFoundError:  # a training of a second: another command has delivered it already
        code = 0
    sys.exit(code)
