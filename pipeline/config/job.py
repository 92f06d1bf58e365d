"""One job of a sweep, in whatever process its launcher starts it: it leaves a record of its outcome in the sweep's folder."""

import json
import math
import os
import signal
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
from hydra.core.hydra_config import HydraConfig

from pipeline.config.atomic import replace
from pipeline.config.errors import Stopped, is_unexpected, verdict
from pipeline.config.parent import end_with, is_alive
from pipeline.config.secrets import redact

RECORDS = ".jobs"  # below a sweep's folder
STOP = "stop"  # a file among the records: no further job begins
SIGNALS = (signal.SIGTERM, signal.SIGINT)
AGAIN = 5.0  # seconds after which a signal counts as another one
STOPPED: list[float] = []  # when this process was asked to

Process = tuple[str, int]  # host, process id


@dataclass
class Record:
    """The outcome of a job. code: the exit code that it would have as a command; None while it works."""

    number: int
    host: str
    pid: int
    born: float  # start of its process, in seconds since 1970: process ids are reused
    code: int | None = None
    value: float | None = None
    result: str = ""
    traceback: str = ""

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Read the JSON that `write` has written."""
        return cls(**json.loads(path.read_text()))

    def write(self, folder: Path) -> None:
        """Write the record as <number>.json, in one step."""
        replace(folder / f"{self.number}.json", json.dumps(asdict(self)))

    def has_died(self) -> bool:
        """Tell whether its process has ended; False for one of another machine, of which nothing is known."""
        return self.host == socket.gethostname() and not is_alive(self.pid, self.born)

    def is_at_work_here(self) -> bool:
        """Tell whether the job works in a process of this machine."""
        return self.code is None and self.host == socket.gethostname() and not self.has_died()


def read_records(folder: Path) -> dict[int, Record]:
    """Return number -> record of the jobs that have begun."""
    records = [Record.read(path) for path in folder.glob("*.json")]
    return {record.number: record for record in records}


def as_job(work: Callable[[], Any], cfg: Any, sweep: Process) -> Any:
    """Do one job's work and record its outcome. Return what the work returns; NaN where it fails, for Hydra's sweepers.

    sweep: the process that started it, which may be this one."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.cwd, hydra.sweep.dir, RECORDS)
    if (folder / STOP).exists():
        return math.nan
    own = psutil.Process()
    record = Record(int(hydra.job.num), socket.gethostname(), own.pid, own.create_time())
    record.write(folder)
    is_apart = (record.host, record.pid) != sweep
    if is_apart:
        _end_with(sweep)
    try:
        value = work()
        record.code, record.result = 0, "done"
        if isinstance(value, float):
            record.value, record.result = value, f"{cfg.training.monitor} {value:.4f}"
        return value
    except (Exception, Stopped) as error:
        record.code, reason = (error.exit_code, str(error)) if isinstance(error, Stopped) else verdict(error)
        record.result = redact(reason)
        record.traceback = redact(traceback.format_exc()) if is_unexpected(error) else ""
        if isinstance(error, Stopped) and not is_apart:
            raise
        return math.nan
    finally:
        record.write(folder)
        if is_apart and sweep[0] == record.host and not is_alive(sweep[1]):  # nobody has more work for this process
            os._exit(record.code or 0)


def _end_with(sweep: Process) -> None:
    """Let this process, one of a launcher, end its job on a signal, and when the sweep's process on this machine has ended."""
    for number in SIGNALS:
        signal.signal(number, _stop)
    if sweep[0] == socket.gethostname():
        end_with(sweep[1], lambda: os.kill(os.getpid(), signal.SIGTERM))


def _stop(signal_number: int, _: Any) -> None:
    """Stop the job; a signal that the terminal and the sweep both send counts once, a later repetition counts again."""
    if not STOPPED or time.monotonic() - STOPPED[-1] > AGAIN:
        STOPPED.append(time.monotonic())
        raise Stopped(signal_number)
