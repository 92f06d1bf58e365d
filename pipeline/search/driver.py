"""Runs the trials of a sweep on this machine, each in a process of its own, until none is left.

The processes are forked from one that has imported what a training needs, so that a trial starts at once, with nothing of the one
before it. This process alone reads and writes the ledger; so a trial that crashes, hangs or is killed is a row, whatever it was doing."""

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
from pipeline.search.trial import CLAIM, DONE, FAILED, GIVEN_UP, REPORT, Ended, Work, run_trial

POLL = 0.5  # seconds between two looks at what does not tell by itself: equal trials, a stop, other machines' trials
PATIENCE = 40.0  # seconds in which trials that are asked to end do so: a training's run waits 30 to be marked as KILLED
UNITS = {"s": 1, "m": 60, "h": 3600}  # seconds
AS_IT_STANDS = "the config as it stands"
PASSING = (DISK_FULL, NetworkError.exit_code, BusyError.exit_code)  # exit codes of faults that another attempt may not meet

Tell = Callable[[str], None]


class Driver:
    """folder: of the sweep, with one per trial below. workers: trials at once. preload: modules that the trials' processes have."""

    def __init__(self, ledger: Ledger, work: Work, folder: Path, workers: int, tell: Tell = print, preload: Sequence[str] = ()) -> None:
        self.ledger, self.work, self.folder, self.workers, self.tell = ledger, work, folder, workers, tell
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([__name__, *preload])
        self.running: list[Running] = []
        self.failures: dict[int, Failure] = {}  # row -> of one of its trainings, until its others have been ended
        self.silence = _seconds(ledger.search.settings.silence)
        self.stopped_by: int | None = None
        self.looked = self.beaten = 0.0

    def run(self) -> None:
        """Run trials until none is left here or on another machine, or until a signal or `stop`. Raises Stopped after a signal."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            while True:
                self._look()
                self._fill()
                if self.running:
                    self._listen()
                elif self._is_stopping() or self._is_time_over() or not self.ledger.is_at_work:
                    break
                else:
                    time.sleep(POLL)  # another process has the last trials, and may lose them
        finally:
            for trial in self.running:  # an error has come between
                trial.process.terminate()
                trial.connection.close()
            for number, handler in before.items():
                signal.signal(number, handler)
        self.ledger.release()
        self.ledger.beat()  # the time of this start
        if self.stopped_by:
            stopped = Stopped(self.stopped_by)
            stopped.then = f"what has ended is kept; `resume {self.ledger.name}` goes on, half-trained trials from their checkpoints"
            raise stopped

    def _on_signal(self, number: int, _: Any) -> None:
        """Remember a signal: inside a transaction it would break the ledger's connection."""
        self.stopped_by = number

    def _is_stopping(self) -> bool:
        return self.stopped_by is not None or self.ledger.is_stopped

    def _is_time_over(self) -> bool:
        limit = self.ledger.search.settings.time
        return limit is not None and self.ledger.seconds > _seconds(limit)

    def _fill(self) -> None:
        """Begin trials while there is room for more."""
        while len(self.running) < self.workers and not self._is_stopping():
            if (task := self.ledger.next(may_draw=not self._is_time_over())) is None:
                return
            ours, theirs = self.context.Pipe()
            log = self.folder / task.folder / "log.txt"
            process = self.context.Process(target=run_trial, args=(self.work, task, theirs, log), daemon=False)
            process.start()
            theirs.close()
            self.running.append(Running(task, process, ours))

    def _listen(self) -> None:
        """Answer what the trials tell, for at most POLL seconds, and record those that have ended."""
        ready = wait([*(trial.connection for trial in self.running), *(trial.process.sentinel for trial in self.running)], POLL)
        for trial in list(self.running):
            if trial.connection in ready:
                try:
                    self._answer(trial, *trial.connection.recv())
                except (EOFError, OSError):
                    trial.is_closed = True
            if trial.claims and (is_mine := self._claim(trial)) is not None:
                trial.claims = None
                self._reply(trial, is_mine)
            if trial.process.sentinel in ready and (trial.is_closed or not trial.connection.poll()):
                self._end(trial)

    def _answer(self, trial: Running, what: str, *values: Any) -> None:
        trial.heard = time.monotonic()
        if what == CLAIM:
            [trial.claims] = values
        elif what == REPORT:
            decides = trial.task.repetition == 0 and self._is_known(trial)
            self._reply(trial, decides and self.ledger.report(trial.task.number, *values))
        elif what == DONE:
            [trial.ended] = values

    def _claim(self, trial: Running) -> bool | None:
        if not self._is_known(trial):
            return True
        answer = self.ledger.claim(trial.task.number, trial.task.repetition, trial.claims or "")
        trial.is_equal = answer is False
        return answer

    def _is_known(self, trial: Running) -> bool:
        return trial.task.number in self.ledger.trials

    def _reply(self, trial: Running, answer: bool) -> None:
        with suppress(OSError):
            trial.connection.send(answer)

    def _look(self) -> None:
        """Now and then: end trials that hang, all where the sweep is stopped, and take over those of dead processes."""
        if time.monotonic() - self.looked < POLL:
            return
        self.looked = time.monotonic()
        if self._is_stopping():
            self._stop_all()
        for trial in self.running:
            if trial.claims is None and time.monotonic() - trial.heard > self.silence:
                trial.is_hanging = True
                trial.process.kill()
        if time.monotonic() - self.beaten > BEAT:
            self.beaten = time.monotonic()
            self.ledger.beat()
            for line in self.ledger.reap():
                self.tell(line)

    def _stop_all(self) -> None:
        for trial in self.running:
            trial.process.terminate()
        end = time.monotonic() + PATIENCE
        while self.running and time.monotonic() < end:
            self._listen()
        for trial in self.running:
            trial.process.kill()
        while self.running:
            self._listen()

    def _end(self, trial: Running) -> None:
        """Record how a trial has ended, also one that could not say it."""
        trial.process.join()
        trial.connection.close()
        self.running.remove(trial)
        task, number = trial.task, trial.task.number
        ended = trial.ended or Ended(FAILED, code=-1, reason=self._death_of(trial))
        if trial.is_equal or not self._is_known(trial):  # another machine may have taken it over
            self._tell_shared(task)
        elif ended.what == DONE and all(map(math.isfinite, ended.scores)):
            self.ledger.complete(number, task.repetition, *ended.scores)
            self.tell(self._line(task, f"{self.ledger.monitor} {scored(self.ledger, *ended.scores)}"))
        elif ended.what == GIVEN_UP:
            self.ledger.prune(number, ended.reason)
            self.tell(self._line(task, ended.reason))
        elif ended.what == DONE:
            self._fail(Failure(task, f"{self.ledger.monitor} is {ended.scores[0]}, which is no score", again=False))
        elif self._is_stopping():
            self._fail(Failure(task, STOPPED, again=True, counts=False))
        else:
            self._fail(Failure(task, ended.reason, trial.ended is None or ended.code in PASSING or ended.code > 128))
        self._settle(task)

    def _tell_shared(self, task: Task) -> None:
        row = self.ledger.rows()[task.number]
        score = row.scores.get(task.repetition, row.value)
        self.tell(
            self._line(task, row.reason if score is None else f"{self.ledger.monitor} {score:.4f}, {row.reason or 'as an equal one'}")
        )

    def _fail(self, failure: Failure) -> None:
        """Let a row fail by one of its trainings, whose others are ended first."""
        number = failure.task.number
        self.failures.setdefault(number, failure)
        self.ledger.hold(number)
        for other in self.running:
            if other.task.number == number:
                other.process.terminate()

    def _settle(self, task: Task) -> None:
        """Record and tell what is known when no training of a row is at work."""
        number = task.number
        if any(other.task.number == number for other in self.running):
            return
        if (failure := self.failures.pop(number, None)) and number in self.ledger.trials:
            again = self.ledger.fail(number, failure.reason, again=failure.again, counts=failure.counts)
            if failure.reason != STOPPED:
                log = self.folder / failure.task.folder / "log.txt"
                self.tell(self._line(failure.task, f"failed: {failure.reason}{'; it is tried again' if again else ''}   ({log})"))
        elif task.repeated and (row := self.ledger.rows()[number]).state == "complete":
            mean = f"{self.ledger.monitor} {row.value:.4f} ± {row.spread:.4f}, the mean of {len(row.scores)} trainings"
            self.tell(f"trial {number} ({', '.join(task.varied) or AS_IT_STANDS}): {mean}")

    def _death_of(self, trial: Running) -> str:
        code = trial.process.exitcode or 0
        if trial.is_hanging:
            return f"ended, as it had not told the end of an epoch for {self.ledger.search.settings.silence}"
        if code == -signal.SIGKILL:
            return "its process was killed by signal 9; a machine whose memory is full kills, too"
        return f"its process was killed by signal {-code}" if code < 0 else f"its process ended with code {code}, without a word"

    def _line(self, task: Task, what: str) -> str:
        return f"trial {task.number} ({', '.join((*task.varied, *task.repeated)) or AS_IT_STANDS}): {what}"


def _seconds(text: str) -> float:
    return float(text[:-1]) * UNITS[text[-1]]
