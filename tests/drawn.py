"""The figures that are drawn to files, to be looked into."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

Saved = dict[str, Figure]  # name of the file -> figure


@contextmanager
def drawn() -> Iterator[Saved]:
    """Keep what is saved meanwhile, none of which may stay open."""
    figures: Saved = {}
    write = Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lambda figure, path, **how: (figures.update({path.name: figure}), write(figure, path, **how)))
        yield figures
    assert plt.get_fignums() == []
