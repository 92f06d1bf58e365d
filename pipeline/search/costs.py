"""The second objective of a training: what its network or its time costs."""

from pathlib import Path

from pipeline.bundle import Bundle
from pipeline.config.search import PARAMETERS, SECONDS
from pipeline.search.task import Task
from pipeline.search.trial import TrialProcess


def costs_of(task: Task, process: TrialProcess, bundle: Path, seconds: float) -> tuple[float, ...]:
    """Return the second objective, as far as the search has one. bundle: folder of the network. seconds: that this process has trained."""
    if task.against == PARAMETERS:
        return (float(Bundle.read(bundle).parameters),)
    if task.against == SECONDS:
        first, last = process.epochs[0], process.epochs[-1]
        return (seconds * last / (last - first + 1),)  # an earlier attempt may have trained the first epochs
    return ()
