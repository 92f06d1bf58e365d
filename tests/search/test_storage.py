"""Where sweeps are kept, and what is said where that can't be."""

import re
import shutil
from pathlib import Path

import pytest
from optuna.storages.journal import JournalFileBackend

from pipeline.config.errors import ConfigError, NetworkError
from pipeline.search.storage import Storage, is_there, url_of


def test_sweeps_are_in_the_project_unless_another_database_is_given(tmp_path: Path) -> None:
    assert url_of(tmp_path, None) == f"sqlite:///{tmp_path}/sweeps.db"
    assert url_of(tmp_path, "postgresql+psycopg2://host/db") == "postgresql+psycopg2://host/db"
    assert not is_there(url_of(tmp_path, None))
    assert is_there("mysql://host/db")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "sweeps.db").write_text("no database\n" * 100)
    with pytest.raises(NetworkError, match=re.escape(f"the sweeps' database sqlite:///{tmp_path}/sweeps.db can't be used: ")):
        Storage(url_of(tmp_path, None))


def test_a_password_of_a_database_that_can_not_be_reached_is_not_shown() -> None:
    with pytest.raises((ConfigError, NetworkError)) as raised:  # without the driver it is not even tried
        Storage("postgresql://anna:geheim@127.0.0.1:1/db")
    assert "geheim" not in str(raised.value)


def test_a_line_that_is_cut_short_makes_a_journal_unreadable_which_is_why_sqlite_keeps_the_sweeps(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = JournalFileBackend(str(path))
    journal.append_logs([{"n": 1}])
    with path.open("ab") as stream:
        stream.write(b'{"n": 2')  # killed here
    journal.append_logs([{"n": 3}])
    journal.append_logs([{"n": 4}])
    shutil.copy(path, tmp_path / "copy")
    with pytest.raises(ValueError, match="delimiter|Expecting"):
        list(JournalFileBackend(str(tmp_path / "copy")).read_logs(0))
