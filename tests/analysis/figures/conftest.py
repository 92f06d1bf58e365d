from collections.abc import Iterator

import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from pipeline.analysis.figures import confusion, contact_sheet, film, gallery, maps

Saved = list[Figure]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> Iterator[Saved]:
    """The figures that a test has drawn to a file, to be looked into."""
    figures: Saved = []
    for module in (confusion, contact_sheet, film, gallery, maps):
        write = module.save
        monkeypatch.setattr(module, "save", lambda figure, path, write=write: (figures.append(figure), write(figure, path)))
    yield figures
    assert plt.get_fignums() == []
