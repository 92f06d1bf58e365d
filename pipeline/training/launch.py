"""Start the ranks of a data-parallel training on this machine with torchrun's agent, which stops all of them when one dies."""

import json
import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from torch.distributed.elastic.agent.server.api import RunResult, WorkerGroup, WorkerSpec
from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.rendezvous import RendezvousParameters
from torch.distributed.elastic.rendezvous.registry import get_rendezvous_handler

from pipeline.config.atomic import replace
from pipeline.config.errors import ConfigError, PipelineError, Stopped, is_unexpected, verdict
from pipeline.config.paths import Places
from pipeline.config.process import open_streams
from pipeline.config.ranks import as_nonzero_rank, rank_of, record_failure
from pipeline.config.schema import Config, Training
from pipeline.config.secrets import redact
from pipeline.training.distributed import FIRST_FAILURE, POLL, failure_in

Work = Callable[[Config, Places], Any]
Record = dict[str, Any]  # of a rank's failure, in torchrun's format: message, errorCode, extraInfo

LOOPBACK = "127.0.0.1"
RENDEZVOUS_TIMEOUT = 900  # seconds that machines wait for each other; torchrun's default
STOPPING = (signal.SIGTERM, signal.SIGINT)
FORWARDED = (*STOPPING, signal.SIGHUP, signal.SIGQUIT)  # by torchrun's agent, which replaces their handlers


def launch(work: Work, cfg: Config, places: Places) -> Any:
    """Run `work` in one process per device of this machine; return rank 0's result, None where rank 0 is on another machine.

    This process holds the locks and reports the failure. Raises PipelineError with the exit code of the rank that failed
    first, Stopped, and ConfigError where there are several machines and no rendezvous address."""
    with TemporaryDirectory(prefix="ranks-") as name, _quiet_torchrun():
        folder = Path(name)
        try:
            result = _run(Agent(work, cfg, places, folder))
        except Stopped as stopped:
            stopped.then = _record(folder, 0).get("message", "").partition("; ")[2] or stopped.then  # rank 0 knows what is done
            raise
        except Exception as error:  # torchrun trips over a rank that was killed while it reported
            raise failure_in(_first_failure(folder)) or error from error
        if result.is_failed():
            _raise_failure(folder, cfg.training)
        return result.return_values.get(0)


class Agent(LocalElasticAgent):
    """torchrun's agent, which also writes which rank failed first and why, while the other ranks still run and can report it."""

    def __init__(self, work: Work, cfg: Config, places: Places, folder: Path) -> None:
        self.folder = folder
        self.first_failure = _first_failure(folder)
        self.processes: dict[int, multiprocessing.process.BaseProcess] = {}  # by process id
        rendezvous = get_rendezvous_handler(_rendezvous(cfg.training))
        spec = WorkerSpec(
            role="train",
            local_world_size=cfg.training.devices,
            entrypoint=_work_as_rank,
            args=(work, cfg, places, self.first_failure),
            rdzv_handler=rendezvous,
            max_restarts=0,
            monitor_interval=POLL,
        )
        super().__init__(spec, DefaultLogsSpecs(str(folder)))

    def _start_workers(self, worker_group: WorkerGroup) -> dict[int, Any]:
        resource_tracker.ensure_running()  # else it would start below, where it unblocks the signals
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # which ranks inherit, until their handlers are set
        try:
            started: dict[int, Any] = super()._start_workers(worker_group)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        self.processes = {process.pid or 0: process for process in multiprocessing.active_children()}
        return started

    def _monitor_workers(self, worker_group: WorkerGroup) -> RunResult:
        for worker in worker_group.workers:
            code = self.processes[worker.id].exitcode
            if code and not self.first_failure.exists():
                record = _record(self.folder, worker.global_rank)
                how = f"failed: {record['message']}" if record else _ending(code)
                what = f"rank {worker.global_rank} of this training's {worker.world_size} processes {how}"
                exit_code = code if code > 0 else 128 - code  # -signal, for which a shell has 128 + signal
                replace(self.first_failure, json.dumps({"what": what, "exit_code": exit_code}))
        result: RunResult = super()._monitor_workers(worker_group)
        return result


def _run(agent: Agent) -> RunResult:
    """Run torchrun's agent, then restore the signal handlers; a signal that ended it is passed on to its former handler."""
    handlers = {number: signal.getsignal(number) for number in FORWARDED}
    try:
        return agent.run()
    except SignalException as stopped:
        if callable(handler := handlers[stopped.sigval]):
            handler(stopped.sigval, None)
        raise Stopped(stopped.sigval) from None
    finally:
        agent.get_worker_group().spec.rdzv_handler.shutdown()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _rendezvous(training: Training) -> RendezvousParameters:
    """Return the rendezvous: on this machine, or by MASTER_ADDR, MASTER_PORT and NODE_RANK. Raises ConfigError where these are missing."""
    nodes = training.nodes
    if nodes == 1:
        return RendezvousParameters("c10d", f"{LOOPBACK}:0", "train", 1, 1, local_addr=LOOPBACK)
    address, port, node = (os.environ.get(name) for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK"))
    if not (address and port and node):
        raise ConfigError(
            f"training.nodes is {nodes}: start this command on each machine by srun, or by torchrun --nnodes {nodes} --nproc-per-node "
            f"{training.devices} --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m pipeline.stage.train …",
            "training.nodes",
        )
    return RendezvousParameters("static", f"{address}:{port}", "train", nodes, nodes, rank=int(node), timeout=RENDEZVOUS_TIMEOUT)


def _work_as_rank(work: Work, cfg: Config, places: Places, first_failure: Path) -> Any:
    """Run one rank. A failure is recorded for the launching process, which reports it once."""
    open_streams(work_goes_on=True)
    os.environ[FIRST_FAILURE] = str(first_failure)
    for number in STOPPING:
        signal.signal(number, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    try:
        with as_nonzero_rank() if rank_of(cfg.training) else nullcontext():
            return work(cfg, places)
    except (Exception, Stopped) as error:
        code, reason = verdict(error)
        if not (isinstance(error, Stopped) and first_failure.exists()):  # else the agent stops this rank because another failed
            record_failure(code, redact(reason), redact(traceback.format_exc()) if is_unexpected(error) else "")
        sys.exit(code)
    finally:
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)  # nothing left to clean up


def _stop(signal_number: int, _: Any) -> None:
    for number in STOPPING:  # one is enough: the terminal and the agent each send one
        signal.signal(number, signal.SIG_IGN)
    raise Stopped(signal_number)


def _raise_failure(folder: Path, training: Training) -> NoReturn:
    """Raise the failure that rank 0 reports, which may name another rank; where rank 0 was killed itself, the first failure."""
    records = [_record(folder, rank) for rank in range(training.devices)]
    tracebacks = [record["extraInfo"]["py_callstack"] for record in records if record]
    print(next(filter(None, tracebacks), ""), end="", file=sys.stderr)  # one of them is enough
    if not records[0] and (first := failure_in(_first_failure(folder))):
        raise first
    failed = PipelineError(records[0]["message"])
    failed.exit_code = records[0]["errorCode"]
    raise failed


def _first_failure(folder: Path) -> Path:
    return folder / "first_failure.json"


def _record(folder: Path, rank: int) -> Record:
    """Return a rank's record of its failure, from torchrun's folders; {}: it has none, or was killed while torch wrote it."""
    for file in folder.glob(f"*/attempt_0/{rank}/error.json"):
        with suppress(json.JSONDecodeError):
            return dict(json.loads(file.read_text())["message"])
    return {}


def _ending(code: int) -> str:
    """Return how a process ended, from its exit code, which is minus the number of a signal that killed it."""
    if code > 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name
    return f"was killed by {name}" + (", as happens when memory runs out" if code == -signal.SIGKILL else "")


@contextmanager
def _quiet_torchrun() -> Iterator[None]:
    """Silence torchrun's long logs of failures, which are reported in one line here."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
