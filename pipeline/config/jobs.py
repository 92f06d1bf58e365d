"""Starts the jobs of a sweep by any launcher and supervises them: each failure is reported when it happens, and the end is a table.

Jobs may work in other processes, so their outcomes are read from records (job.py) in the sweep's folder."""

import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, filter_overrides
from hydra.plugins.launcher import Launcher

from pipeline.config.errors import UNEXPECTED, PipelineError, Stopped
from pipeline.config.job import AGAIN, SIGNALS, STOP, Record, read_records
from pipeline.config.secrets import redact
from pipeline.config.wording import counted

POLL = 0.2  # seconds between two looks at the records
PATIENCE = 40.0  # seconds in which jobs that are asked to end do so: a training's run waits 30 to be marked as KILLED
START = 60.0  # seconds in which a job's process starts
DIED = "its process has ended without a word, as a killed one does; a machine whose memory is full kills, too"

Point = Sequence[str]  # the overrides of a job


class JobsFailed(PipelineError):
    """Some jobs of a sweep have failed; the exit code is that of all where they failed alike."""

    def __init__(self, failed: int, jobs: int, codes: set[int]) -> None:
        super().__init__(f"{failed} of {counted(jobs, 'job')} failed; the table says which and why")
        self.exit_code = codes.pop() if len(codes) == 1 else UNEXPECTED


def values_of(point: Point) -> str:
    """Return a job's overrides as a line, without secrets and Hydra's settings."""
    return redact(", ".join(filter_overrides(point)))


class Jobs:
    """points: number -> overrides, of all jobs. folder: of their records; None while none has been started."""

    def __init__(self, stage: str, points: dict[int, Point]) -> None:
        self.stage, self.points = stage, points
        self.folder: Path | None = None
        self.reported: set[int] = set()
        self.has_stopped = False

    def begin(self, folder: Path) -> None:
        """Create the folder of the records, without those of an earlier sweep in the same place."""
        if self.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            self.folder = folder

    def launch(self, launcher: Launcher, points: Sequence[Point], first: int) -> list[JobReturn]:
        """Start the jobs and wait for their end, also where the launcher gives up because one failed; return their results."""
        returns: dict[int, JobReturn] = {}
        start = 0
        with self._reporting_failures(), self._ending_all():
            while start < len(points):
                try:
                    returns |= enumerate(launcher.launch(points[start:], initial_job_idx=first + start), first + start)
                    break
                except BrokenExecutor:  # a process of joblib's has died, and joblib has ended those beside it; start the rest again
                    self._report_failures()
                    start = max([number - first for number in self._records() if number >= first + start], default=len(points)) + 1
                except Exception as error:
                    if not type(error).__module__.startswith("submitit"):
                        raise
                    self._wait_for(range(first, first + len(points)))
                    break
        return [returns.get(number) or self._return_of(number, point) for number, point in enumerate(points, first)]

    def _return_of(self, number: int, point: Point) -> JobReturn:
        record = self._records().get(number)
        value = math.nan if record is None or record.value is None else record.value
        return JobReturn(overrides=list(point), status=JobStatus.COMPLETED, _return_value=value)

    def _wait_for(self, numbers: range) -> None:
        """Wait for jobs that go on without the launcher; for one that has not begun, as long as a process takes to start."""
        late = time.monotonic() + START
        while True:
            records = self._records()
            if not self._at_work() and (time.monotonic() > late or records.keys() >= set(numbers)):
                return
            time.sleep(POLL)

    @contextmanager
    def _reporting_failures(self) -> Iterator[None]:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(POLL):
                self._report_failures()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            self._report_failures()

    def _report_failures(self) -> None:
        """Print a line for each job that has failed since the last call."""
        for number, record in self._records().items():
            if record.code is None and record.has_died() and (record := self._records()[number]).code is None:  # else it has just ended
                record.code, record.result = UNEXPECTED, DIED
                record.write(self.folder or Path())
            if record.code and number not in self.reported and not self.has_stopped:
                self.reported.add(number)
                line = f"{self.stage} failed: job {number} ({values_of(self.points[number])}): {redact(record.result)}"
                print(f"{record.traceback}{line}", file=sys.stderr, flush=True)

    @contextmanager
    def _ending_all(self) -> Iterator[None]:
        """Forward a signal to the jobs in other processes and wait for their end; a second one ends this process at once."""
        before = {number: signal.getsignal(number) for number in SIGNALS}

        def stop(signal_number: int, _: Any) -> None:
            restore()
            self._end_jobs()
            raise Stopped(signal_number)

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        for number in SIGNALS:
            signal.signal(number, stop)
        try:
            yield
        finally:
            restore()

    def _end_jobs(self) -> None:
        self.has_stopped = True
        ((self.folder or Path()) / STOP).touch()
        apart = {record.number for record in self._at_work() if record.pid != os.getpid()}
        end, again = time.monotonic() + PATIENCE, 0.0
        while time.monotonic() < end and (left := [job for job in self._at_work() if job.number in apart]):
            if time.monotonic() > again:
                again = time.monotonic() + AGAIN + 1
                for record in left:
                    os.kill(record.pid, signal.SIGTERM)
            time.sleep(POLL)

    def _at_work(self) -> list[Record]:
        return [record for record in self._records().values() if record.is_at_work_here()]

    def _records(self) -> dict[int, Record]:
        return read_records(self.folder) if self.folder else {}

    def print_table(self) -> None:
        """Print a row for each job, where any has been started."""
        if self.folder is None:
            return
        records = self._records()
        rows = [("job", "values", "result")]
        rows += [(str(number), values_of(point), _outcome(records.get(number))) for number, point in self.points.items()]
        wide = max(len(values) for _, values, _ in rows)
        for number, values, result in rows:
            print(f"{number:>4}  {values:<{wide}}  {result}")

    def refuse_failures(self) -> None:
        """Raise JobsFailed unless every job has succeeded."""
        records = self._records()
        codes = [records[number].code if number in records else None for number in self.points] if self.folder else []
        if failed := [UNEXPECTED if code is None else code for code in codes if code != 0]:
            raise JobsFailed(len(failed), len(codes), set(failed))


def _outcome(record: Record | None) -> str:
    if record is None:
        return "not started"
    if record.code is None:
        return "was still at work"
    return f"failed: {redact(record.result)}" if record.code else record.result
