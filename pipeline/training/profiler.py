"""Where the time of a step goes, by torch.profiler: debug=profile."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile, schedule

from pipeline.config.errors import ConfigError
from pipeline.training.callbacks import Logger
from pipeline.training.loop import Callback, Loop

FIRST = 1  # step that is left alone: it chooses kernels and takes memory
WARMUP = 1  # step that is traced and thrown away: tracing begins with work of its own
SKIPPED = FIRST + WARMUP
FOLDER = "profile"  # of the run's artifacts
ROWS = 40  # of the table: the operations that take longest


class Profiler(Callback):
    """Records some steps, with the loading of their batches; logs the trace and a table by operation, and ends the training.

    steps: recorded, after those SKIPPED."""

    def __init__(self, steps: int, logger: Logger) -> None:
        self.steps = steps
        self.logger = logger
        self.profile: profile
        self.last: int  # step, after which the training ends

    def on_train_start(self, loop: Loop) -> None:
        self._require_steps(loop)
        self.last = loop.step + SKIPPED + self.steps
        self.profile = profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])],
            schedule=schedule(wait=FIRST, warmup=WARMUP, active=self.steps, repeat=1),
            on_trace_ready=self._log,
        )
        self.profile.start()

    def on_step_end(self, loop: Loop) -> None:
        self.profile.step()
        if loop.step == self.last:
            self.profile.stop()
            loop.should_stop = True

    def _require_steps(self, loop: Loop) -> None:
        needed = math.ceil((SKIPPED + self.steps) / loop.batches)  # epochs
        if loop.epochs is not None and loop.step == 0 and loop.epochs < needed:
            raise ConfigError(
                f"training.profile is {self.steps} steps after {SKIPPED} that are not recorded, but this training has "
                f"{loop.epochs * loop.batches}: give training.epochs={needed} or more",
                "training.profile",
            )

    def _log(self, done: profile) -> None:
        with TemporaryDirectory() as folder:
            trace, table = Path(folder) / "trace.json.gz", Path(folder) / "table.txt"
            done.export_chrome_trace(str(trace))
            order = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
            table.write_text(done.key_averages().table(sort_by=order, row_limit=ROWS))
            for file in (trace, table):
                self.logger.log_file(file, FOLDER)
        print(f"profiled {self.steps} steps: {FOLDER}/table.txt and {FOLDER}/trace.json.gz in the run's artifacts (make ui)", flush=True)
