"""Runs the trials of a sweep on this machine, each training in a process of its own, until none is left.

The processes are forked from one that has imported what a training needs, so that each starts at once and in a clean state. Only
this process reads and writes the ledger, so a trial that crashes, hangs or is killed is still recorded."""

import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from pipeline.config.errors import DISK_FULL, BusyError, NetworkError, Stopped
from pipeline.search.ledger import STOPPED, Ledger
from pipeline.search.running import Failure, Running
from pipeline.search.status import scored
from pipeline.search.storage import BEAT
from pipeline.search.task import Task
from pipeline.search.trial import CLAIM, DONE, FAILED, PRUNED, REPORT, Ended, Work, run_trial

POLL = 0.5  # seconds between checks of what sends no message: equal trainings, a stop, the trials of other machines
GRACE_PERIOD = 40.0  # seconds from SIGTERM to SIGKILL: a training waits up to 30 for its run to be marked as KILLED
UNITS = {"s": 1, "m": 60, "h": 3600}  # seconds
AS_IT_STANDS = "the config as it stands"
TRANSIENT = (DISK_FULL, NetworkError.exit_code, BusyError.exit_code)  # exit codes of faults that may be gone at the next attempt

PrintLine = Callable[[str], None]


class Driver:
    """Runs `work` for each training that the ledger hands out.

    folder: of the sweep, with one per trial below. workers: trainings at once. print_line: called with what happens to each trial.
    preload: modules imported before the trainings' processes are forked."""

    def __init__(
        self, ledger: Ledger, work: Work, folder: Path, workers: int, print_line: PrintLine = print, preload: Sequence[str] = ()
    ) -> None:
        self.ledger, self.work, self.folder, self.workers, self.print_line = ledger, work, folder, workers, print_line
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__name__, *preload])
        self.running: list[Running] = []
        self.failures: dict[int, Failure] = {}  # trial -> its first failed training, until its other trainings have ended
        self.silence = _seconds(ledger.search.settings.silence)  # without a message, after which a training counts as hanging
        self.stopped_by: int | None = None  # a signal
        self.last_poll = self.last_heartbeat = 0.0  # by the monotonic clock

    def run(self) -> None:
        """Run trials until none is left here or on another machine, or until a signal or `stop`. Raises Stopped after a signal."""
        handlers = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while True:
                self._poll()
                self._start_trainings()
                if self.running:
                    self._receive()
                elif self._is_stopping() or self._is_time_over() or not self.ledger.is_at_work:
                    break
                else:
                    time.sleep(POLL)  # another process has the last trials, and may die before they end
        finally:
            for trial in self.running:  # only after an error
                trial.process.terminate()
                trial.connection.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self.ledger.release()
        self.ledger.beat()  # records the time that this start has taken
        if self.stopped_by:
            stopped = Stopped(self.stopped_by)
            stopped.then = f"what has ended is kept; `resume {self.ledger.name}` goes on, half-trained trials from their checkpoints"
            raise stopped

    def _on_signal(self, number: int, _: Any) -> None:
        """Note the signal for the loop: an exception inside a transaction would break the ledger's connection."""
        self.stopped_by = number

    def _is_stopping(self) -> bool:
        return self.stopped_by is not None or self.ledger.is_stopped

    def _is_time_over(self) -> bool:
        limit = self.ledger.search.settings.time
        return limit is not None and self.ledger.seconds > _seconds(limit)

    def _start_trainings(self) -> None:
        """Start trainings until all workers are busy or none is left."""
        while len(self.running) < self.workers and not self._is_stopping():
            if (task := self.ledger.next(may_draw=not self._is_time_over())) is None:
                return
            ours, theirs = self.context.Pipe()
            log = self.folder / task.folder / "log.txt"
            process = self.context.Process(target=run_trial, args=(self.work, task, theirs, log), daemon=False)
            process.start()
            theirs.close()
            self.running.append(Running(task, process, ours))

    def _receive(self) -> None:
        """Wait at most POLL seconds for messages of the trainings, answer them, and record the trainings that have ended."""
        ready = wait([*(trial.connection for trial in self.running), *(trial.process.sentinel for trial in self.running)], POLL)
        for trial in list(self.running):
            if trial.connection in ready:
                try:
                    self._handle(trial, *trial.connection.recv())
                except (EOFError, OSError):
                    trial.is_closed = True
            if trial.claims and (is_mine := self._claim(trial)) is not None:
                trial.claims = None
                self._reply(trial, is_mine)
            if trial.process.sentinel in ready and (trial.is_closed or not trial.connection.poll()):
                self._finish(trial)

    def _handle(self, trial: Running, kind: str, *values: Any) -> None:
        """Handle one message of a training; a claim is answered later, as it may have to wait."""
        trial.last_message = time.monotonic()
        if kind == CLAIM:
            [trial.claims] = values
        elif kind == REPORT:
            may_be_pruned = trial.task.repetition == 0 and self._is_known(trial)  # the first decides for the others
            self._reply(trial, may_be_pruned and self.ledger.report(trial.task.number, *values))
        elif kind == DONE:
            [trial.ended] = values

    def _claim(self, trial: Running) -> bool | None:
        """Return whether a training may train; False: an equal one already has the result; None: not known yet, an equal one runs."""
        if not self._is_known(trial):
            return True
        answer = self.ledger.claim(trial.task.number, trial.task.repetition, trial.claims or "")
        trial.is_duplicate = answer is False
        return answer

    def _is_known(self, trial: Running) -> bool:
        """Tell whether the trial is still ours: another machine may have taken it over."""
        return trial.task.number in self.ledger.trials

    def _reply(self, trial: Running, answer: bool) -> None:
        with suppress(OSError):
            trial.connection.send(answer)

    def _poll(self) -> None:
        """Every POLL seconds: end trainings that hang, or all if the sweep is stopped, and take over the trials of dead processes."""
        if time.monotonic() - self.last_poll < POLL:
            return
        self.last_poll = time.monotonic()
        if self._is_stopping():
            self._stop_all()
        for trial in self.running:
            if trial.claims is None and time.monotonic() - trial.last_message > self.silence:
                trial.is_hanging = True
                trial.process.kill()
        if time.monotonic() - self.last_heartbeat > BEAT:
            self.last_heartbeat = time.monotonic()
            self.ledger.beat()
            for line in self.ledger.reap():
                self.print_line(line)

    def _stop_all(self) -> None:
        for trial in self.running:
            trial.process.terminate()
        deadline = time.monotonic() + GRACE_PERIOD
        while self.running and time.monotonic() < deadline:
            self._receive()
        for trial in self.running:
            trial.process.kill()
        while self.running:
            self._receive()

    def _finish(self, trial: Running) -> None:
        """Record how a training ended, also one that died without a message."""
        trial.process.join()
        trial.connection.close()
        self.running.remove(trial)
        task, number = trial.task, trial.task.number
        ended = trial.ended or Ended(FAILED, code=-1, reason=self._cause_of_death(trial))
        if trial.is_duplicate or not self._is_known(trial):
            self._print_shared_result(task)
        elif ended.what == DONE and all(map(math.isfinite, ended.scores)):
            self.ledger.complete(number, task.repetition, *ended.scores)
            self._print(task, f"{self.ledger.monitor} {scored(self.ledger, *ended.scores)}")
        elif ended.what == PRUNED:
            self.ledger.prune(number, ended.reason)
            self._print(task, ended.reason)
        elif ended.what == DONE:
            self._fail(Failure(task, f"{self.ledger.monitor} is {ended.scores[0]}, which is no score", again=False))
        elif self._is_stopping():
            self._fail(Failure(task, STOPPED, again=True, counts=False))
        else:
            has_died = trial.ended is None or ended.code > 128  # without a message, or by a signal: 128 + its number
            self._fail(Failure(task, ended.reason, again=has_died or ended.code in TRANSIENT))
        self._settle(task)

    def _print_shared_result(self, task: Task) -> None:
        """Print the result that a training has from an equal one or from another machine."""
        row = self.ledger.rows()[task.number]
        score = row.scores.get(task.repetition, row.value)
        self._print(task, row.reason if score is None else f"{self.ledger.monitor} {score:.4f}, {row.reason or 'as an equal one'}")

    def _fail(self, failure: Failure) -> None:
        """Fail the trial of a failed training, once its other trainings have been terminated."""
        number = failure.task.number
        self.failures.setdefault(number, failure)
        self.ledger.hold(number)
        for other in self.running:
            if other.task.number == number:
                other.process.terminate()

    def _settle(self, task: Task) -> None:
        """Record and print the outcome of a trial, once none of its trainings is running."""
        number = task.number
        if any(other.task.number == number for other in self.running):
            return
        if (failure := self.failures.pop(number, None)) and number in self.ledger.trials:
            again = self.ledger.fail(number, failure.reason, again=failure.again, counts=failure.counts)
            if failure.reason != STOPPED:
                log = self.folder / failure.task.folder / "log.txt"
                self._print(failure.task, f"failed: {failure.reason}{'; it is tried again' if again else ''}   ({log})")
        elif task.repeated and (row := self.ledger.rows()[number]).state == "complete":
            mean = f"{self.ledger.monitor} {row.value:.4f} ± {row.spread:.4f}, the mean of {len(row.scores)} trainings"
            self.print_line(f"trial {number} ({', '.join(task.varied) or AS_IT_STANDS}): {mean}")

    def _cause_of_death(self, trial: Running) -> str:
        """Return why a training ended without a message."""
        code = trial.process.exitcode or 0
        if trial.is_hanging:
            return f"ended, as it had not told the end of an epoch for {self.ledger.search.settings.silence}"
        if code == -signal.SIGKILL:
            return "its process was killed by signal 9; a machine whose memory is full kills, too"
        return f"its process was killed by signal {-code}" if code < 0 else f"its process ended with code {code}, without a word"

    def _print(self, task: Task, text: str) -> None:
        self.print_line(f"trial {task.number} ({', '.join((*task.varied, *task.repeated)) or AS_IT_STANDS}): {text}")


def _seconds(text: str) -> float:
    """Return the seconds of a duration such as 90s, 30m or 2h."""
    return float(text[:-1]) * UNITS[text[-1]]
