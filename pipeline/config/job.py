"""One job of a sweep, in whatever process its launcher starts it. What came of it stands in a record in the sweep's folder."""

import json
import math
import os
import signal
import socket
import threading
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
from pipeline.config.secrets import redact

RECORDS = ".jobs"  # below a sweep's folder
STOP = "stop"  # a file among the records: no further job begins
SIGNALS = (signal.SIGTERM, signal.SIGINT)
AGAIN = 5.0  # seconds after which a signal is another one
STOPPED: list[float] = []  # when this process was asked to
LOOK = 0.5  # seconds between two looks whether the sweep's process lives

Process = tuple[str, int]  # host, process id


@dataclass
class Record:
    """code: the exit code that the job would have as a command; None while it works. result: what came of it."""

    number: int
    host: str
    pid: int
    born: float  # when its process was, in seconds since 1970: a process id is given again
    code: int | None = None
    value: float | None = None
    result: str = ""
    traceback: str = ""

    @classmethod
    def read(cls, path: Path) -> "Record":
        return cls(**json.loads(path.read_text()))

    def write(self, folder: Path) -> None:
        replace(folder / f"{self.number}.json", json.dumps(asdict(self)))

    @property
    def process(self) -> Process:
        return self.host, self.pid

    def has_died(self) -> bool:
        """Tell whether its process has ended; of another machine's nothing is known."""
        return self.host == socket.gethostname() and not is_alive(self.pid, self.born)

    def is_at_work_here(self) -> bool:
        return self.code is None and self.host == socket.gethostname() and not self.has_died()


def read_records(folder: Path) -> dict[int, Record]:
    """Return number -> record of the jobs that have begun."""
    records = [Record.read(path) for path in folder.glob("*.json")]
    return {record.number: record for record in records}


def is_alive(pid: int, born: float | None = None) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and born in (None, process.create_time())
    except psutil.NoSuchProcess:
        return False


def as_job(work: Callable[[], Any], cfg: Any, sweep: Process) -> Any:
    """Do one job's work and record what came of it. Return what the work does, not a number where it fails, for Hydra's sweepers.

    sweep: the process that started it, which may be this one."""
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.cwd, hydra.sweep.dir, RECORDS)
    if (folder / STOP).exists():
        return math.nan
    own = psutil.Process()
    record = Record(int(hydra.job.num), socket.gethostname(), own.pid, own.create_time())
    record.write(folder)
    is_apart = record.process != sweep
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
    """Let this process, a launcher's own, end its job by a signal, and when the sweep's process on this machine is gone."""
    for number in SIGNALS:
        signal.signal(number, _stop)
    if sweep[0] == socket.gethostname() and not any(thread.name == RECORDS for thread in threading.enumerate()):
        threading.Thread(target=_watch, args=(sweep[1],), name=RECORDS, daemon=True).start()


def _stop(signal_number: int, _: Any) -> None:
    """Stop the job; a signal that the terminal and the sweep both send is one. Who repeats it later finds that one was swallowed."""
    if not STOPPED or time.monotonic() - STOPPED[-1] > AGAIN:
        STOPPED.append(time.monotonic())
        raise Stopped(signal_number)


def _watch(pid: int) -> None:
    while is_alive(pid):
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)
