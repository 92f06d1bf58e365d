from collections.abc import Iterator

import pytest

from tests.drawn import Saved, drawn


@pytest.fixture
def saved() -> Iterator[Saved]:
    """The figures that a test has drawn to a file."""
    with drawn() as figures:
        yield figures
