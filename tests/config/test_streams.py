"""What a command says arrives in any encoding, and no output that is closed undoes its work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT

SCRIPT = """
import sys
from pathlib import Path
from pipeline.config.process import run_command
from pipeline.config.errors import DataError

def work():
    print("3×3 maps … 7 · 2 → ü 数字", flush=True)
    print("note: 5×5 …", file=sys.stderr)
    Path(sys.argv[1]).write_text("done")
    {then}

{first}
run_command("script", work)
"""


def shell(words: str, then: str = "pass", first: str = "", **variables: str) -> subprocess.CompletedProcess[bytes]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8", "PYTHONIO"))} | variables
    script = Path(variables["DONE"]).with_suffix(".py")
    script.write_text(SCRIPT.format(then=then, first=first), encoding="utf-8")
    command = ["sh", "-c", f'"$0" "$1" "$2" {words}', sys.executable, script, variables["DONE"]]
    return subprocess.run(command, env=env | {"PYTHONPATH": str(ROOT)}, capture_output=True, check=False)


@pytest.fixture
def done(tmp_path: Path) -> str:
    return str(tmp_path / "done")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "cp1252:strict"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
    ids=lambda variables: " ".join(variables.values()),
)
def test_what_an_encoding_lacks_is_escaped_and_the_work_is_done(variables: dict[str, str], done: str) -> None:
    ran = shell("", DONE=done, **variables)
    assert (ran.returncode, Path(done).exists()) == (0, True), ran.stderr
    assert ran.stdout.endswith(b"\\u6570\\u5b57\n")
    assert ran.stderr.startswith(b"note: 5")


def test_utf_8_stays_as_it_is(done: str) -> None:
    assert "3×3 maps … 7 · 2 → ü 数字\n".encode() == shell("", DONE=done, PYTHONIOENCODING="utf-8").stdout


@pytest.mark.parametrize("words", [">&-", "<&- >&- 2>&-"])
def test_a_closed_output_loses_words_and_no_work(words: str, done: str) -> None:
    ran = shell(words, DONE=done)
    assert (ran.returncode, Path(done).exists()) == (0, True), ran.stderr


@pytest.mark.parametrize("words", [">&-", "2>&-"])
def test_with_a_closed_output_a_failure_keeps_its_code(words: str, done: str) -> None:
    assert shell(words, "raise DataError('×')", DONE=done).returncode == 65


def test_a_stages_work_goes_on_when_the_reader_of_its_words_has_gone(done: str) -> None:
    first = "from pipeline.config.process import open_streams; open_streams(work_goes_on=True)"
    says = "[print('×' * 9999, flush=True) for _ in range(99)]; Path(sys.argv[1]).write_text('all')"
    ran = shell("| head -c 0", says, first, DONE=done, PYTHONIOENCODING="ascii")
    assert (Path(done).read_text(), ran.stderr.splitlines()[1:]) == ("all", [])


def test_files_and_their_names_are_utf_8_in_any_locale(done: str, tmp_path: Path) -> None:
    (tmp_path / "größe.txt").write_text("数字 ×", encoding="utf-8")
    says = f"print(*[ascii(path.read_text()) for path in Path({str(tmp_path)!r}).glob('gr\u00f6*')])"
    ran = shell("", says, DONE=done, LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0")
    assert ran.stdout.splitlines()[-1] == rb"'\u6570\u5b57 \xd7'"
