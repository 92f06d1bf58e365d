"""Upload a training's event log while it grows, and sample system metrics: python -m pipeline.tracking.uploader LOG ROOT

A separate process started by the training, so that drawing filters and a slow or unreachable server take no time from it, and
its run gets an end state even when it is killed. Metrics have the names of MLflow's own monitor, which would import all of
MLflow: 1.5 s of CPU time beside the training."""

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pynvml
from filelock import FileLock

from pipeline.config.errors import NetworkError
from pipeline.config.paths import WORKSPACE
from pipeline.tracking.events import SYSTEM, UPLOADER, Event, Reader, append, begin_of, has_writer, remove

NICE = 5  # below the training, but not so low that a stage waits for it at its end on a busy machine
POLL = 0.2  # seconds between checks that the training is alive
INTERVAL = 1.0  # seconds between uploads
RETRY = 5.0  # seconds between attempts at an unreachable store

MEGABYTE = 1e6  # bytes


class SystemMetrics:
    """Samples CPU, memory, disk, network (since this object was created) and GPUs of this machine."""

    def __init__(self) -> None:
        self.traffic = psutil.net_io_counters()
        psutil.cpu_percent()  # the first call returns 0
        self.gpus = _gpus()

    def sample(self) -> dict[str, float]:
        """Return metric -> value, with the unit in its name. CPU use is the mean since the last sample."""
        memory, disk, traffic = psutil.virtual_memory(), psutil.disk_usage("/"), psutil.net_io_counters()
        values = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / MEGABYTE,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "disk_usage_megabytes": disk.used / MEGABYTE,
            "disk_usage_percentage": disk.percent,
            "disk_available_megabytes": disk.free / MEGABYTE,
            "network_receive_megabytes": (traffic.bytes_recv - self.traffic.bytes_recv) / MEGABYTE,
            "network_transmit_megabytes": (traffic.bytes_sent - self.traffic.bytes_sent) / MEGABYTE,
        }
        for number, gpu in enumerate(self.gpus):
            values |= {f"gpu_{number}_{name}": value for name, value in _gpu_metrics(gpu).items()}
        return {f"{SYSTEM}{name}": round(value, 1) for name, value in values.items()}


def _gpus() -> list[object]:
    try:
        pynvml.nvmlInit()
        return [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:  # no driver, no GPU
        return []


def _gpu_metrics(gpu: object) -> dict[str, float]:
    """Return the metrics of a GPU, up to the first that it can't measure."""
    values: dict[str, float] = {}
    with suppress(pynvml.NVMLError):
        memory = pynvml.nvmlDeviceGetMemoryInfo(gpu)
        values["memory_usage_megabytes"] = memory.used / MEGABYTE
        values["memory_usage_percentage"] = 100 * memory.used / memory.total
        values["utilization_percentage"] = pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu
        values["power_usage_watts"] = pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000  # milliwatts
    return values


class Throttle:
    """Limits the uploader's CPU time to a share (tracking.share) while the training runs, and logs system metrics as it waits."""

    def __init__(self, folder: Path, tracking: Event) -> None:
        self.folder = folder
        self.share: float = tracking["share"]
        self.interval: float | None = tracking["system_metrics"]  # seconds; None: no system metrics
        self.metrics = SystemMetrics()
        self.samples = 0
        self.due = time.monotonic() + POLL  # when the next sample is taken
        self.rested_at = time.process_time()  # seconds of CPU time at the end of the last rest

    def wait(self, seconds: float) -> None:
        """Wait until the time is over or the training has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and has_writer(self.folder):
            self._sample_if_due()
            time.sleep(POLL)

    def _sample_if_due(self) -> None:
        if self.interval and time.monotonic() >= self.due:
            append(self.folder, {"event": "metrics", "values": self.metrics.sample(), "step": self.samples})
            self.samples += 1
            self.due += self.interval

    def rest(self) -> None:
        """Wait until the CPU time since the last rest is within its share of the elapsed time."""
        self.wait((time.process_time() - self.rested_at) / self.share)
        self.rested_at = time.process_time()


def _go_on() -> None:
    """Rest not at all."""


def run_uploader(folder: Path, home: Path) -> int:
    """Upload a log to its end; return the exit code: 0, or NetworkError's where some of it has to wait for the store."""
    events = Reader(folder).new()
    if not events:  # another command has already uploaded a short training, and taking the lock recreated the folder
        remove(folder)
        return 0
    begin = begin_of(events)
    if not begin:  # damaged: the next command reports that
        return 0
    throttle = Throttle(folder, begin["tracking"])
    throttle.wait(begin["tracking"]["first_upload"])
    from pipeline.tracking.sync import Upload, sync_earlier_starts, sync_waiting, waiting_note

    upload = Upload(folder, home)
    between_events: Callable[[], None] = _go_on  # so that the run is there whole at once
    has_warned = False
    while True:
        is_last = not has_writer(folder)  # asked before the upload, which then includes everything written
        try:
            sync_earlier_starts(folder, home)
            if upload.catch_up(between_events):
                for note in sync_waiting(home):  # logs of later stages, which waited for this run
                    print(note, file=sys.stderr)
                return 0
            pause = INTERVAL
            if between_events is _go_on:
                throttle.rest()  # for the import of MLflow and the first upload
                between_events = throttle.rest
        except NetworkError as error:
            if is_last:
                print(waiting_note(folder, str(error)), file=sys.stderr)
                return error.exit_code
            if not has_warned:
                print(f"note: {error}. Training continues; its run is kept in {folder.parent.name}/{folder.name}", file=sys.stderr)
            has_warned = True
            pause = RETRY
        throttle.wait(pause)


if __name__ == "__main__":
    os.nice(NICE)
    log, root = map(Path, sys.argv[1:])
    os.chdir(root)  # DVC removes an experiment's copy of the project when it is done
    try:
        with FileLock(log / UPLOADER):
            code = run_uploader(log, root)
    except (ImportError, FileNotFoundError):
        if root.resolve() == WORKSPACE:
            raise
        # This code was in an experiment's copy, which is gone: continue with the project's.
        os.execv(sys.executable, [sys.executable, "-m", "pipeline.tracking.uploader", *sys.argv[1:]])
    sys.exit(code)
