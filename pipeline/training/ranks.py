"""A training on several devices, a process each: Lightning's DDP, but a process that dies ends the others with a reason.

Lightning's own launcher kills the first process 5 s after another one's death, without a word."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, cast

import lightning as L
import numpy as np
import torch
from lightning.fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.config.errors import PipelineError, RankError, Stopped
from pipeline.config.rank import LOCAL, rank_of, ranks_of
from pipeline.config.schema import Training

Tell = Callable[[str], None]  # takes the reason for which a training failed

LOOK = 0.2  # seconds between two looks whether the other processes live
NATURAL = 1.0  # seconds in which a process that waits for a dead one is told so by its connection
STUCK = 10.0  # seconds after which a process that answers no signal is ended: it waits in a GPU's queue or for a first connection
LAST = 10.0  # seconds in which helpers end by themselves after the training
SET = (LOCAL, "NODE_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")  # by Lightning's launcher, in our environment


class Silent:
    """The follower of a helper: rank 0 tells for all."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        pass

    def log_filters(self, weight: NDArray[np.float32], step: int) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass


class Ranks(DDPStrategy):
    """tell: is given the reason where this process has to be ended at once, because it answers to nothing."""

    def __init__(self, training: Training, tell: Tell) -> None:
        super().__init__()
        self.training, self.tell = training, tell

    def _configure_launcher(self) -> None:
        self._launcher = Launcher(cast(ClusterEnvironment, self.cluster_environment), self.num_processes, self.num_nodes)
        self._launcher.training, self._launcher.tell = self.training, self.tell


class Launcher(_SubprocessScriptLauncher):
    """Starts the same command for each further device where nobody else has; leaves threads to training.threads."""

    training: Training
    tell: Tell

    def launch(self, function: Callable[..., Any], *args: Any, trainer: L.Trainer | None = None, **kwargs: Any) -> Any:
        self.cluster_environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        before = {name: os.environ.get(name) for name in SET}
        if not self.cluster_environment.creates_processes_externally:
            self._call_children_scripts()
        watch, is_well = Watch(self.procs, self.training, self.tell), False
        try:
            found = function(*args, **kwargs)
            is_well = True
            return found
        except (Exception, Stopped) as error:
            if reason := watch.reason(error):
                raise reason from error
            raise
        finally:
            watch.end(is_well)
            for name, value in before.items():  # the next training of a sweep starts its own
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


class Watch:
    """Looks after the processes that this one has started, which may be none."""

    def __init__(self, processes: list[subprocess.Popen[bytes]], training: Training, tell: Tell) -> None:
        self.processes = processes
        self.rank, self.ranks = rank_of(training), ranks_of(training)
        self.tell = tell
        self.left = threading.Event()  # the main thread is no longer in the training
        self.has_interrupted = False
        if processes:
            threading.Thread(target=self._look, daemon=True).start()

    def reason(self, error: BaseException) -> RankError | None:
        """Return the error that is behind the one which left the training; None: that one says it all."""
        self.left.set()
        if isinstance(error, Stopped):
            return self._dead() if self.has_interrupted else None
        if isinstance(error, PipelineError) or not _is_lost_connection(error):
            return None
        end = time.monotonic() + NATURAL
        while time.monotonic() < end:
            if dead := self._dead():
                return dead
            time.sleep(LOOK / 10)
        return RankError(f"rank {self.rank} lost its connection to the others of this training's {self.ranks} processes: one has ended")

    def end(self, is_well: bool) -> None:
        """See that the others end."""
        self.left.set()
        deadline = time.monotonic() + (LAST if is_well else 0)
        for process in self.processes:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if torch.distributed.is_initialized() and (is_well or torch.distributed.get_backend() == "gloo"):
            torch.distributed.destroy_process_group()  # NCCL would wait for the dead

    def _look(self) -> None:
        while not self.left.wait(LOOK):
            if dead := self._dead():
                if self.left.wait(NATURAL):
                    return
                self.has_interrupted = True
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
                if not self.left.wait(STUCK):
                    self._give_up(dead)
                return

    def _give_up(self, dead: RankError) -> None:
        print(f"train failed: {dead}", file=sys.stderr, flush=True)
        self.tell(str(dead))
        for process in self.processes:
            process.kill()
        os._exit(dead.exit_code)

    def _dead(self) -> RankError | None:
        for number, process in enumerate(self.processes, self.rank + 1):
            if code := process.poll():
                return RankError(f"rank {number} of this training's {self.ranks} processes {_said(code)}", code if code > 0 else 128 - code)
        return None


class OwnSignals(Callback):
    """Answers SIGTERM as everywhere in the project: Lightning's handler would talk to the other ranks, amidst another talk of theirs."""

    def setup(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        signal.signal(signal.SIGTERM, self.handler)


def plugins(training: Training) -> list[Any]:
    """Return what Lightning needs to be told: it would write checkpoints of its own when SLURM takes the machine away."""
    return [SLURMEnvironment(auto_requeue=False)] if ranks_of(training) > 1 and SLURMEnvironment.detect() else []


def agree_on_buffers(module: nn.Module) -> None:
    """Give all ranks what rank 0's batch norms have measured; only that goes into checkpoints and bundles."""
    for buffer in module.buffers():
        torch.distributed.broadcast(buffer, 0)


def factor_of_rank(count: Tensor | int) -> Tensor | None:
    """Return what this rank's loss is multiplied by so that DDP's mean over the ranks is the mean over their images; None: nothing.

    count: how much this rank's images count. They are equally many on each rank; by their classes' weights they may count differently."""
    if isinstance(count, int) or not torch.distributed.is_initialized():
        return None
    of_all = count.clone()
    torch.distributed.all_reduce(of_all)
    return count * torch.distributed.get_world_size() / of_all


def has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())


def _is_lost_connection(error: BaseException) -> bool:
    is_torchs = isinstance(error, torch.distributed.DistError)
    return is_torchs or (isinstance(error, RuntimeError) and re.search("gloo|by peer", str(error)) is not None)


def _said(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (", as a machine does whose memory is full" if code == -signal.SIGKILL else "")
