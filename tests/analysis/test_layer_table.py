import pytest

from pipeline.analysis.layer_table import mib


@pytest.mark.parametrize(("count", "words"), [(2**20, "1.0"), (3 * 2**19, "1.5"), (5000 * 2**20, "5,000"), (0, "0.0")])
def test_memory_is_told_in_units_of_1024_squared(count: int, words: str) -> None:
    assert mib(count) == words
