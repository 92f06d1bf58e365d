"""A command ends when its work is done: with all that it has said, and with no failure that comes after."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from pipeline.config.compose import compose
from pipeline.config.errors import UNEXPECTED, verdict
from pipeline.config.process import exit_code
from tests.project import ROOT

SCRIPT = """
import atexit, os, signal, sys
from pipeline.config.process import run_command
from pipeline.config.errors import {error}

class Torch:
    def __del__(self):
        print("taken apart")

torch = Torch()

def last():
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    print("registered for the end")

def work():
    atexit.register(last) if {is_late} else None
    print("worked")
    {then}

run_command("script", work)
"""


def run(then: str = "pass", error: str = "DataError", *, is_late: bool = False) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(then=then, error=error, is_late=is_late)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # what is not flushed would be lost
    return subprocess.run([sys.executable, "-c", script], env=buffered, capture_output=True, text=True, check=False)


def test_a_command_does_what_is_registered_for_its_end_and_takes_nothing_apart() -> None:
    done = run("atexit.register(print, 'registered')")
    assert (done.returncode, done.stdout, done.stderr) == (0, "worked\nregistered\n", "")


def test_a_signal_that_comes_when_the_work_is_done_comes_too_late() -> None:
    done = run(is_late=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "worked\nregistered for the end\n", "")


def test_a_command_that_fails_keeps_its_exit_code_and_what_it_has_said() -> None:
    done = run("raise DataError('the split is empty')")
    assert (done.returncode, done.stdout, done.stderr) == (65, "worked\n", "script failed: the split is empty\n")


def test_a_refused_config_ends_the_command_at_once() -> None:
    done = run("atexit.register(print, 'registered'); raise ConfigError('no such key', 'seed')", "ConfigError")
    assert (done.returncode, done.stdout) == (78, "worked\n")


def test_a_command_that_leaves_by_itself_keeps_its_own_code() -> None:
    assert run("sys.exit(2)").returncode == 2


NOT_MINE = """
    import tempfile
    folder = tempfile.mkdtemp()
    os.chmod(folder, 0o555)
    os.getuid() or os.setuid(65534)  # whom a folder's mode stops, other than root
    {work}"""


@pytest.mark.parametrize("work", ["open(folder + '/runs', 'w')", "os.mkdir(folder + '/runs')", "os.symlink('a', folder + '/runs')"])
def test_a_folder_that_may_not_be_written_to_is_named_with_what_to_do(work: str) -> None:
    done = run(NOT_MINE.format(work=work))
    [line] = done.stderr.splitlines()
    assert done.returncode == 77
    assert re.fullmatch(
        r"script failed: (/.*/runs|a): Permission denied; give this user the right to read and write in the project, or work .*", line
    )


def test_a_read_only_file_system_is_told_likewise() -> None:
    done = run("raise OSError(30, 'Read-only file system', 'runs')")
    assert (done.returncode, done.stderr.partition(";")[0]) == (77, "script failed: runs: Read-only file system")


HELPER = """
import sys
from pipeline.config.cli import launch

def main(cfg, places):
    assert list(cfg.model["layers"])[:2] == ["pool1", "conv1"]
    print("trains with", cfg.training.devices, "devices", file=sys.stderr)

sys.argv = ["train", "training=ddp", "model.layers.norm1=_absent_", *sys.argv[1:]]
launch("train", main)
"""


def test_a_helper_of_a_live_training_has_the_config_that_rank_0_has() -> None:
    names = [name for name in compose(ROOT / "conf")["model"]["layers"] if name not in ("pool1", "conv1", "norm1")]
    words = [f"+model.layers._order_={['pool1', 'conv1', *names]}".replace("'", "")]
    command = [sys.executable, "-c", HELPER, *words]
    done = subprocess.run(command, env=os.environ | {"RANK": "1", "WORLD_SIZE": "2"}, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "trains with 2 devices\n")


LIVE = """
import sys
from pathlib import Path
from pipeline.config.cli import entry

sys.argv = ["fetch", "hydra.run.dir=" + sys.argv[1], "seed=7"]
code = compile("def main(cfg, places): print((places.live / 'config.yaml').exists())", "fetch.py", "exec")
exec(code)
entry(main)()
"""


def test_a_live_run_that_is_refused_as_another_is_at_work_leaves_its_config_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 0\n")
    with FileLock(folder / ".fetch.lock"):
        done = subprocess.run([sys.executable, "-c", LIVE, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (75, "")
    assert "another process is writing the outputs of fetch" in done.stderr
    assert (folder / "config.yaml").read_text() == "seed: 0\n"


def test_an_unexpected_error_of_a_live_run_is_no_refusal_of_the_config_and_has_its_traceback(tmp_path: Path) -> None:
    faulty = LIVE.replace("print((places.live / 'config.yaml').exists())", "{}['no such key']")
    done = subprocess.run([sys.executable, "-c", faulty, str(tmp_path / "run")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == UNEXPECTED
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("fetch failed: unexpected KeyError: 'no such key'. This is a fault of the pipeline")


def break_a_pipe() -> None:
    raise BrokenPipeError(32, "Broken pipe")


def test_a_stage_that_loses_a_pipe_has_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("train", break_a_pipe, is_stage=True) == 1
    assert "train failed: unexpected BrokenPipeError" in capsys.readouterr().err


@pytest.mark.parametrize(("file", "words"), [(None, "the disk is full: No space"), ("runs/a", "the disk is full: runs/a No space")])
def test_a_full_disk_is_told_with_its_file_where_one_is_known(file: str | None, words: str) -> None:
    code, reason = verdict(OSError(errno.ENOSPC, "No space left on device", file))
    assert (code, reason.partition(" left")[0]) == (73, words)
