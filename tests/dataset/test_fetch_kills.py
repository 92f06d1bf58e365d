"""kill -9 at any moment of a fetch, then the same command again: the bytes of an undisturbed fetch, and nothing else."""

import hashlib
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.dataset.archives import zipped
from tests.dataset.mirrors import Answer
from tests.project import Project, cloned, environment

KILLS = 20
FILES = {f"{'cat' if i % 2 else 'dog'}/{i}.jpg": random.Random(i).randbytes(4000) for i in range(1000)}

pytestmark = pytest.mark.slow


class Slow(Answer):
    """Serves one archive by ranges, over a second or so."""

    archive = b""
    asked = threading.Event()

    def do_GET(self) -> None:
        self.close_connection = True
        rest = self.archive[self.start :]
        span = f"bytes {self.start}-{len(self.archive) - 1}/{len(self.archive)}"
        self.head(206 if self.start else 200, Content_Length=len(rest), Content_Range=span)
        self.asked.set()
        try:
            for place in range(0, len(rest), 1 << 16):
                self.wfile.write(rest[place : place + (1 << 16)])
                time.sleep(0.01)
        except OSError:
            """The client was killed."""


COMMAND = ("python", "-m", "pipeline.stage.fetch", "dataset=photos", "hydra.run.dir=runs/one")


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with a data set of one archive on a slow server."""
    Slow.archive = zipped(tmp_path / "photos.zip", FILES).read_bytes()
    digest = hashlib.sha256(Slow.archive).hexdigest()
    project = cloned(tmp_path / "project")
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        file = f"{{name: photos.zip, sha256: {digest}, bytes: {len(Slow.archive)}, unpack: true}}"
        text = project.read("conf/dataset/folder.yaml").replace("name: folder", "name: photos").replace("folder: data/own", "folder: null")
        text = text.replace("mirrors: []", f"mirrors: ['http://127.0.0.1:{server.server_port}']").replace(
            "files: {}", f"files: {{a: {file}}}"
        )
        project.write("conf/dataset/photos.yaml", text)
        yield project
        server.shutdown()


def start(project: Project, home: Path) -> subprocess.Popen[bytes]:
    """Start a fetch that keeps its downloads below `home`; return when the first byte has been asked for."""
    Slow.asked.clear()
    env = environment() | {"DVC_ROOT": str(home), "no_proxy": "*"}
    fetching = subprocess.Popen(COMMAND, cwd=project.root, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert Slow.asked.wait(60)
    return fetching


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def test_the_same_command_again_gives_the_same_bytes_whenever_the_first_was_killed(project: Project, tmp_path: Path) -> None:
    dice = random.Random()
    undisturbed = start(project, tmp_path / "undisturbed")
    begin = time.monotonic()
    assert undisturbed.wait(60) == 0
    duration = time.monotonic() - begin
    wanted = everything(tmp_path / "undisturbed")
    raw = project.root / "runs" / "one" / "raw"
    assert everything(raw) == FILES

    stages = set()
    for kill in range(KILLS):
        home, moment = tmp_path / f"home{kill}", duration * (kill + dice.random()) / KILLS
        fetching = start(project, home)
        time.sleep(moment)
        fetching.kill()
        fetching.wait(60)
        stages.add(stage_of(home, raw))
        ran = project.run(*COMMAND, DVC_ROOT=str(home), no_proxy="*")
        assert ran.code == 0, f"killed after {moment:.3f} s: {ran.output}"
        assert everything(raw) == FILES, f"killed after {moment:.3f} s"
        assert everything(home) == wanted, f"killed after {moment:.3f} s"
    print(f"killed in: {', '.join(sorted(stages))}; one fetch takes {duration:.2f} s")
    assert {"downloading", "unpacking"} <= stages


def stage_of(home: Path, raw: Path) -> str:
    """Tell how far a killed fetch had come."""
    if list(home.rglob(".photos.zip.part")):
        return "downloading"
    if not list(home.rglob("listing.json")) or list(home.rglob(".photos.zip.unpacked")):
        return "unpacking"
    return "linking" if len(everything(raw)) < len(FILES) else "done"
