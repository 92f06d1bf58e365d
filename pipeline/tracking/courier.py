"""Delivers one training's journal while it grows: python -m pipeline.tracking.courier JOURNAL ROOT

A process of its own, started by the training: drawing filters, a slow server or a lost one take no time from it, and when
the training is killed, its run is ended. It also samples what the machine is doing meanwhile."""

import os
import sys
import time
from pathlib import Path

from filelock import FileLock

from pipeline.config.errors import NetworkError
from pipeline.config.places import WORKSPACE
from pipeline.tracking.journal import COURIER, Event, Reader, append, has_writer, opening_of, remove
from pipeline.tracking.system import Machine

NICE = 5  # the training goes first; a stage that waits for the courier at its end must not wait for all that a busy machine does
LOOK = 0.2  # seconds between two looks whether the training lives
ROUND = 1.0  # seconds between two deliveries
AGAIN = 5.0  # seconds between two tries of a store that is away
IMPORTS = 1.5  # seconds of processor time that it takes to import MLflow


class Companion:
    """What the courier does beside a living training: it rests, so that the training has the processor, and samples."""

    def __init__(self, folder: Path, tracking: Event) -> None:
        self.folder = folder
        self.share: float = tracking["share"]
        self.every: float | None = tracking["system_metrics"]
        self.machine = Machine()
        self.samples = 0
        self.due = time.monotonic() + LOOK
        self.worked = time.process_time()  # seconds, at the end of the last rest

    def wait(self, seconds: float) -> None:
        """Wait, no longer than the training lives."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and has_writer(self.folder):
            if self.every and time.monotonic() >= self.due:
                append(self.folder, {"event": "metrics", "values": self.machine.sample(), "step": self.samples})
                self.samples += 1
                self.due += self.every
            time.sleep(LOOK)

    def rest(self) -> None:
        """Wait until the work since the last rest is no more than its share of the time."""
        self.wait((time.process_time() - self.worked) / self.share)
        self.worked = time.process_time()


def carry(folder: Path, home: Path) -> int:
    """Deliver until the journal's end; return the exit code, that of NetworkError where a part has to wait."""
    told = Reader(folder).new()
    if not told:  # a training of a second: another command has delivered it already, and the lock has made the folder anew
        remove(folder)
        return 0
    opening = opening_of(told)
    if not opening:  # its line is torn: the next command says so
        return 0
    companion = Companion(folder, opening["tracking"])
    companion.wait(IMPORTS / companion.share)
    from pipeline.tracking.delivery import Delivery, bring_earlier_starts, settle, waits

    companion.worked = time.process_time()  # the import has been waited for
    delivery = Delivery(folder, home)
    has_told = False
    while True:
        is_last = not has_writer(folder)  # asked first: what the writer told before it ended is still seen below
        try:
            bring_earlier_starts(folder, home)
            if delivery.catch_up(companion.rest):
                for note in settle(home):  # what later stages told meanwhile, which waits for this run
                    print(note, file=sys.stderr)
                return 0
            pause = ROUND
        except NetworkError as error:
            if is_last:
                print(waits(folder, str(error)), file=sys.stderr)
                return error.exit_code
            if not has_told:
                print(f"note: {error}. The training goes on; its run is kept in {folder.parent.name}/{folder.name}", file=sys.stderr)
            has_told, pause = True, AGAIN
        companion.wait(pause)


if __name__ == "__main__":
    os.nice(NICE)
    journal, root = map(Path, sys.argv[1:])
    os.chdir(root)  # DVC removes an experiment's copy of the project when its stages are done
    try:
        with FileLock(journal / COURIER):
            code = carry(journal, root)
    except (ImportError, FileNotFoundError):
        if root.resolve() == WORKSPACE:
            raise
        # The code is an experiment's copy, which is gone: the project's own goes on.
        os.execv(sys.executable, [sys.executable, "-m", "pipeline.tracking.courier", *sys.argv[1:]])
    sys.exit(code)
