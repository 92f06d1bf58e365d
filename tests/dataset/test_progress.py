"""A long work says how far it is: in what unit, how fast, how long it still takes."""

import pytest

from pipeline.dataset.progress import BYTES, IMAGES, Progress, duration


def test_images_are_counted_one_by_one_and_bytes_in_megabytes(capsys: pytest.CaptureFixture[str]) -> None:
    images, bytes_ = Progress("resizing", 4_000, IMAGES, every=0), Progress("fetching x", 5_000_000, BYTES, every=0)
    images.start -= 2  # seconds
    images.add(1_000)
    bytes_.start -= 10
    bytes_.add(2_500_000)
    assert capsys.readouterr().out.splitlines() == [
        "resizing: 1,000 of 4,000 images, 500 images/s, 6 s left",
        "fetching x: 2.5 of 5.0 MB, 0.2 MB/s, 10 s left",
    ]


def test_what_was_there_before_makes_the_rate_no_better(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("fetching x", 5_000_000, BYTES, every=0, done=4_000_000)
    progress.start -= 1
    progress.add(500_000)
    assert capsys.readouterr().out == "fetching x: 4.5 of 5.0 MB, 0.5 MB/s, 1 s left\n"


def test_where_nobody_knows_the_whole_there_is_no_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("unpacking x", None, BYTES, every=0)
    progress.start -= 1
    progress.add(2_000_000)
    assert capsys.readouterr().out == "unpacking x: 2.0 MB, 2.0 MB/s\n"


def test_between_two_lines_lie_as_many_seconds_as_were_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("resizing", 4, IMAGES, every=5)
    progress.add(1)
    assert capsys.readouterr().out == ""
    progress.told -= 5
    progress.add(1)
    progress.add(1)
    assert capsys.readouterr().out.startswith("resizing: 2 of 4 images, ")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599.4, "59:59"), (3600, "1:00:00"), (7384, "2:03:04")]
)
def test_durations_are_written_as_on_a_clock(seconds: float, text: str) -> None:
    assert duration(seconds) == text
