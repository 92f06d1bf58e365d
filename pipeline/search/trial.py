"""One trial of a sweep as its own process sees it: what it tells the driver, and how it ends."""

import os
import select
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipeline.config.errors import Settled, Stopped, is_unexpected, verdict
from pipeline.config.secrets import redact
from pipeline.search.task import Task
from pipeline.tracking.events import trial_tags

CLAIM, REPORT, DONE, PRUNED, FAILED = "claim", "report", "done", "pruned", "failed"
LONGEST_REASON = 2_000  # characters of the end of a traceback, in the ledger


@dataclass(frozen=True)
class Ended:
    """How a trial has ended. code: the exit code that it would have as a command."""

    what: str
    scores: tuple[float, ...] = ()
    code: int = 0
    reason: str = ""


class TrialProcess:
    """The trial's end of the connection to the driver; every message waits for its answer."""

    def __init__(self, task: Task, connection: Connection) -> None:
        self.task, self.connection = task, connection
        self.epochs: list[int] = []  # that this process has trained

    @property
    def run(self) -> dict[str, str]:
        """Return the name and the tags of the trial's MLflow run."""
        task = self.task
        tags = trial_tags(task.sweep, task.sweep_id, task.number, task.varied, task.repeated)
        return {"name": task.name, "point": f"{task.sweep}-{task.point}", **tags}

    def claim(self, key: str) -> None:
        """Say which training this is. Waits while an equal one is running; raises Settled if one has a result."""
        if not self._answer(CLAIM, key):
            raise Settled("an equal trial has this result")

    def report(self, epoch: int, value: float) -> None:
        """Report the value after an epoch. Raises Settled if the trial is pruned."""
        self.epochs.append(epoch)
        if self._answer(REPORT, epoch, value):
            raise Settled(f"pruned after epoch {epoch}")

    def _answer(self, *question: Any) -> Any:
        self.connection.send(question)
        return self.connection.recv()


# Returns the score, or one of each objective; a module's function, as the process imports it.
Work = Callable[[Task, TrialProcess], float | tuple[float, ...]]


def run_trial(work: Work, task: Task, connection: Connection, log: Path) -> None:
    """Do a trial's work in this process and tell the driver how it has ended. log: what it prints."""
    _print_to(log)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the driver ends its trials by SIGTERM
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_without_driver, args=(connection.fileno(),), daemon=True).start()
    ended = _outcome(work, task, TrialProcess(task, connection))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    connection.send((DONE, ended))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # tearing torch down takes a second


def _outcome(work: Work, task: Task, process: TrialProcess) -> Ended:
    try:
        scores = work(task, process)
        return Ended(DONE, scores if isinstance(scores, tuple) else (scores,))
    except Settled as settled:
        return Ended(PRUNED, reason=str(settled))
    except (Exception, Stopped) as error:
        code, reason = verdict(error)
        told = redact(traceback.format_exc()) if is_unexpected(error) else ""
        print(f"{told}{redact(reason)}", file=sys.stderr)
        return Ended(FAILED, code=code, reason=f"{told}{redact(reason)}"[-LONGEST_REASON:])


def _print_to(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)


def _stop(signal_number: int, _: Any) -> None:
    raise Stopped(signal_number)


def _end_without_driver(descriptor: int) -> None:
    """Stop the trial when the driver's end of the connection closes, as it does when the driver is killed."""
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is told without being asked for
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
