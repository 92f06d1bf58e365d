"""A stage of an experiment that fails or is killed leaves a mark, by which DVC takes the experiment back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.config.atomic import replace

# Ends conf.lock while a stage of an experiment is at work: where it fails or is killed, DVC finds configure's output changed, and
# the next `dvc repro` goes back to the values before, where it would go on with the experiment's.
BEGUN = "# a stage of an experiment began here, and has not ended\n"


@contextmanager
def begun(root: Path) -> Iterator[None]:
    """Mark conf.lock until the work within has ended, in an experiment; the mark that another stage left stays."""
    lock = root / "conf.lock"
    if "DVC_EXP_NAME" not in os.environ or (text := lock.read_text()).endswith(BEGUN):
        yield
        return
    replace(lock, text + BEGUN)
    yield
    replace(lock, lock.read_text().removesuffix(BEGUN))
