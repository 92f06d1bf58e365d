"""Inside a rank of a data-parallel training: what the ranks compute together, and which rank failed first.

torchrun (started by training/launch.py) stops all ranks when one dies; until then the surviving ones report which one it was."""

import json
import math
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipeline.config.errors import PipelineError, RankError, Stopped
from pipeline.config.lone_image import lone_image
from pipeline.config.ranks import at_once, rank_of, ranks_of
from pipeline.config.schema import Training
from pipeline.dataset.loaders import EpochOrder
from pipeline.dataset.manifest import Manifest
from pipeline.model.size_warnings import single_value_norms

FIRST_FAILURE = "FIRST_FAILURE"  # environment variable: the file in which launch.py records the first failure
POLL = 0.1  # seconds between checks of that file
SOON = 1.0  # seconds within which a failure is recorded after the connection is lost
STUCK = 10.0  # seconds after which a rank that handles no signal exits: it is blocked in a collective

# Groups that are destroyed, until the process ends. Were DDP's reducer the last to let go of one, torch would join gloo's threads
# with the GIL held, for which one of them may be waiting: the rank would never end. The group's own wrapper releases the GIL.
_kept_groups: list[object] = []


class NullLogger:
    """The logger of ranks other than 0: rank 0 logs for all."""

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        pass

    def log_filters(self, weight: NDArray[np.float32], step: int) -> None:
        pass

    def log_file(self, file: Path, folder: str | None = None) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass


@contextmanager
def rank_failures(training: Training, fail: Callable[[str], None]) -> Iterator[None]:
    """Raise what fails because another rank has died as the RankError that names that rank.

    fail: called with the reason before this process exits because it is blocked in a collective."""
    if ranks_of(training) == 1:
        yield
        return
    os.environ.setdefault("OMP_NUM_THREADS", str(training.threads))  # Lightning divides the cores among ranks: other bits
    left, is_well = threading.Event(), False
    threading.Thread(target=_exit_if_blocked, args=(left, fail), daemon=True).start()
    try:
        yield
        is_well = True
    except (Exception, Stopped) as error:
        answer = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, to all surviving ranks: this one may be exiting already
        if reason := _cause_of(error, training):
            raise reason from error
        signal.signal(signal.SIGTERM, answer)
        raise
    finally:
        left.set()
        if torch.distributed.is_initialized() and (is_well or torch.distributed.get_backend() == "gloo"):
            _kept_groups.append(torch.distributed.group.WORLD)
            torch.distributed.destroy_process_group()  # NCCL would wait for the dead rank


def broadcast_buffers(module: nn.Module) -> None:
    """Broadcast rank 0's buffers, which are batch-norm statistics; only rank 0 writes checkpoints and bundles."""
    for buffer in module.buffers():
        torch.distributed.broadcast(buffer, 0)


def rank_loss_scale(weight: Tensor | int) -> Tensor | None:
    """Return the factor for this rank's loss, (), that makes DDP's mean over ranks the mean over images; None: 1.

    weight: of this rank's images: their number, which is equal on all ranks, or with class weights a tensor, ()."""
    if isinstance(weight, int) or not torch.distributed.is_initialized():
        return None
    total = weight.clone()
    torch.distributed.all_reduce(total)
    return weight * torch.distributed.get_world_size() / total


def has_batch_norm(network: nn.Module) -> bool:
    """Return whether any layer is a batch norm of any dimension."""
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in network.modules())


def failure_in(file: Path) -> RankError | None:
    """Return the first failure, which launch.py has written to this file; None: no rank has failed."""
    return RankError(**json.loads(file.read_text())) if file.is_file() else None


def _first_failure() -> RankError | None:
    return failure_in(Path(os.environ.get(FIRST_FAILURE, os.devnull)))  # not set under torchrun or srun


def _cause_of(error: BaseException, training: Training) -> RankError | None:
    """Return the failure of another rank that caused an error; None: the error is this rank's own."""
    if isinstance(error, Stopped):
        return _first_failure()
    if isinstance(error, PipelineError) or not _is_lost_connection(error):
        return None
    end = time.monotonic() + (SOON if FIRST_FAILURE in os.environ else 0)
    while not (found := _first_failure()) and time.monotonic() < end:
        time.sleep(POLL / 10)
    ranks = ranks_of(training)
    return found or RankError(
        f"rank {rank_of(training)} lost its connection to the others of this training's {ranks} processes: one has ended"
    )


def _is_lost_connection(error: BaseException) -> bool:
    is_torchs = isinstance(error, torch.distributed.DistError)
    return is_torchs or (isinstance(error, RuntimeError) and re.search("gloo|by peer", str(error)) is not None)


def _exit_if_blocked(left: threading.Event, fail: Callable[[str], None]) -> None:
    while not left.wait(POLL):
        if failure := _first_failure():
            if not left.wait(STUCK):
                fail(str(failure))
                os._exit(failure.exit_code)
            return


def require_variance(network: nn.Module, manifest: Manifest, training: Training) -> None:
    """Raise ConfigError where a batch norm would see a single value per channel, whose variance is undefined."""
    if torch.cuda.is_available() and ranks_of(training) > 1:
        return  # synchronised batch norm sees the images of all devices
    images = min(manifest.images("train"), training.overfit_images or manifest.images("train"))
    smallest, side = smallest_micro_batch(images, training), training.input or manifest.size
    if smallest == 1 and (layers := single_value_norms(network, manifest.channels, side)):
        where = "each part of a batch" if at_once(training) == 1 else "the last part of an epoch"
        raise lone_image(layers[0], side, training, where)


def smallest_micro_batch(images: int, training: Training) -> int:
    """Return the size of the smallest micro-batch of one rank in an epoch of so many images."""
    ranks, most = ranks_of(training), at_once(training)
    order = EpochOrder(images, training.batch_size // ranks, seed=0, ranks=ranks)
    of_rank = np.diff([0, *order.ends]) // ranks
    return min(int(batch) // math.ceil(batch / most) for batch in of_rank)
