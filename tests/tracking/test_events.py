"""A log is read as it grows, in the order of its beginning, and is never seen without its writer."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from pipeline.tracking.events import EVENTS, FOLDER, EventLog, Reader, has_writer, waiting

LOGS = 100


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.write("first")
    reader = Reader(log.folder)
    with (log.folder / EVENTS).open("ab", buffering=0) as file:
        file.write(b'{"time": 17, "eve')
        assert [event["event"] for event in reader.new()] == ["first"]
        file.write(b'nt": "second"}\n')
    assert [event["event"] for event in reader.new()] == ["second"]
    log.close()


def test_the_ten_thousandth_log_comes_after_those_before(tmp_path: Path) -> None:
    names = ["0002-a", "9999-b", "10000-c", "10001-a"]
    for name in reversed(names):
        (tmp_path / FOLDER / name).mkdir(parents=True)
    assert [folder.name for folder in waiting(tmp_path)] == names
    log = EventLog(tmp_path)
    assert log.folder.name.startswith("10002-")
    log.close()


def test_a_log_that_is_seen_has_its_writer(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    is_over = Event()

    def without_writer() -> set[Path]:
        seen: set[Path] = set()
        found: set[Path] = set()
        while not is_over.is_set():
            new = set((tmp_path / FOLDER).glob("[!.]*")) - seen
            found |= {folder for folder in new if not has_writer(folder)}
            seen |= new
        return found

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(without_writer)
        logs = [EventLog(tmp_path) for _ in range(LOGS)]
        is_over.set()
        assert watching.result() == set()
    for log in logs:
        log.close()
