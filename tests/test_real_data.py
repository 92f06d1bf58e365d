"""The whole line on real images, as a user runs it: accuracies, who sees which image, photos, five seeds.

IMAGE_DATA names the folder of original files; it is served over HTTP on this machine. Without it these tests skip."""

import csv
import gzip
import http.server
import io
import json
import os
import re
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

from tests.project import ROOT, Project, cloned

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("IMAGE_DATA" not in os.environ, reason="IMAGE_DATA names no folder of real images"),
]

PATIENCE = 1800  # seconds for one command: ten times what it takes on two idle cores
PREDICT = ("python", "-m", "pipeline.command.predict")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def originals() -> Path:
    folder = (ROOT / os.environ["IMAGE_DATA"]).resolve()
    assert folder.is_dir(), f"IMAGE_DATA is set, but there is no folder {folder}"
    return folder


@pytest.fixture(scope="module")
def mirror(originals: Path) -> Iterator[str]:
    """The base URL under which the original files are served."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(originals))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def photos(originals: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A project that has learned cats from dogs for three epochs; made once for all processes of this test run."""
    top = tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    with FileLock(top / "photos.lock"):
        if not (top / "photos").exists():
            project = cloned(top / "learning")
            unpack(originals / "cats-dogs" / "cats-dogs.tar.gz", project.root / "data" / "own")
            unpack(originals / "odd-images" / "odd-images.tar.gz", project.root)
            exp_run(project, "experiment=cats_dogs", "training.epochs=3")
            project.root.rename(top / "photos")
    return Project(top / "photos")


def unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")


def exp_run(project: Project, *overrides: str) -> None:
    project.ok("dvc", "exp", "run", *(word for override in overrides for word in ("-S", override)), timeout=PATIENCE)


def live(project: Project, stage: str, *words: str) -> None:
    project.ok("python", "-m", f"pipeline.stage.{stage}", *words, timeout=PATIENCE)


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def accounted(project: Project) -> list[dict[str, str]]:
    """Return images.csv, whose every row stands for an image that is used, or left out as a near-duplicate of one in a later split."""
    rows = table(project.read("data/prepared/images.csv"))
    assert {row["status"] for row in rows} <= {"used", "left out"}
    assert all(row["reason"] for row in rows if row["status"] == "left out")
    return rows


@pytest.mark.parametrize(("name", "folder", "wanted"), [("fashion_mnist", "fashion-mnist", 0.885), ("mnist", "mnist", 0.985)])
def test_lenet_reaches_its_accuracy_on_the_official_test_images_and_only_there(
    name: str, folder: str, wanted: float, originals: Path, mirror: str, tmp_path: Path
) -> None:
    project = cloned(tmp_path / "project")

    exp_run(project, f"experiment={name}", f"dataset.sources.mirrors=[{mirror}/{folder}]")

    trained_with = json.loads(project.read("bundle/bundle.json"))["config"]
    assert trained_with["model"]["name"] == "lenet"
    assert trained_with["training"]["epochs"] <= 10
    test = json.loads(project.read("reports/metrics.json"))["test"]
    assert (test["images"], test["accuracy"] >= wanted) == (10_000, True), test
    split_of = {row["path"]: row["split"] for row in accounted(project)}
    train, official = "train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz"
    assert split_of.keys() == {f"{train}#{i}" for i in range(60_000)} | {f"{official}#{i}" for i in range(10_000)}
    assert all((split == "test") == path.startswith(official) for path, split in split_of.items())
    labels = gzip.decompress((originals / folder / "t10k-labels-idx1-ubyte.gz").read_bytes())[8:]  # after the IDX header
    assert bytes(np.load(project.root / "data/prepared/test_labels.npy").astype(np.uint8)) == labels


def test_training_gives_the_same_bytes_without_the_test_images(tmp_path: Path) -> None:
    project = cloned(tmp_path / "project")
    project.repro("resize")

    def bundle(run: str) -> dict[str, bytes]:
        live(project, "train", "training.epochs=2", f"hydra.run.dir=runs/{run}")
        return {path.name: path.read_bytes() for path in (project.root / "runs" / run / "bundle").iterdir()}

    with_test_images = bundle("with")
    for name in ("test.npy", "test_labels.npy", "images.csv"):
        (project.root / "data" / "prepared" / name).unlink()
    assert bundle("without") == with_test_images


def test_five_seeds_learn_the_digits_on_one_test_set(tmp_path: Path) -> None:
    project = cloned(tmp_path / "project")
    project.repro("fetch")

    for stage in ("resize", "train", "evaluate"):
        live(project, stage, "-m", "seed=0,1,2,3,4", "hydra.sweep.dir=runs", "hydra.sweep.subdir=seed${seed}")

    runs = [f"runs/seed{seed}" for seed in range(5)]
    accuracies = [json.loads(project.read(f"{run}/reports/metrics.json"))["test"]["accuracy"] for run in runs]
    assert np.mean(accuracies) >= 0.985, accuracies
    assert min(accuracies) >= 0.97, accuracies
    assert len({json.loads(project.read(f"{run}/bundle/bundle.json"))["manifest"]["data_digest"] for run in runs}) == 1
    assert len({json.loads(project.read(f"{run}/bundle/bundle.json"))["weights_sha256"] for run in runs}) == 5


def test_every_photo_of_any_size_keeps_its_official_split(photos: Project) -> None:
    rows = accounted(photos)

    assert len(rows) == 1_500
    own = photos.root / "data" / "own"
    assert {row["path"] for row in rows} == {str(path.relative_to(own)) for path in own.rglob("*") if path.is_file()}
    assert all((row["split"] == "test") == ("/test_set/" in row["path"]) for row in rows)
    assert len({(row["width"], row["height"]) for row in rows}) > 900


def test_three_epochs_tell_cats_from_dogs_better_than_chance_does(photos: Project) -> None:
    test = json.loads(photos.read("reports/metrics.json"))["test"]
    assert test["images"] == 500
    assert test["accuracy_interval"][0] > 0.5  # of 250 cats and 250 dogs: a guess has 0.5, and 0.54 by luck


def test_predict_names_five_photos_and_a_folder_of_them(photos: Project) -> None:
    folder = "data/own/cats-dogs/test_set/dogs"
    five = sorted(str(path.relative_to(photos.root)) for path in (photos.root / folder).iterdir())[:5]

    lines = photos.ok(*PREDICT, *five).output.splitlines()
    rows = table(photos.ok(*PREDICT, folder, "--csv").output)

    pattern = r"(\S+) +(cats|dogs) +(0\.\d+|1\.000) +\(cats (0\.\d+|1\.000)  dogs (0\.\d+|1\.000)\)"
    said = [re.fullmatch(pattern, line).groups() for line in lines]
    assert [path for path, *_ in said] == five
    assert len(rows) == 250
    for row, (path, label, *numbers) in zip(rows, said, strict=False):
        assert (row["path"], row["class"]) == (path, label)
        assert [float(row[key]) for key in ("probability", "p(cats)", "p(dogs)")] == pytest.approx([float(n) for n in numbers], abs=0.001)
    for row in rows:
        shares = {name: float(row[f"p({name})"]) for name in ("cats", "dogs")}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert float(row["probability"]) == max(shares.values()) == shares[row["class"]]


def test_predict_answers_for_every_odd_file_with_a_class_or_a_reason(photos: Project) -> None:
    listed = csv.DictReader(io.StringIO(photos.read("odd-images/MANIFEST.tsv")), delimiter="\t")
    made_of = {f"odd-images/{row['source']}/{row['file']}": row["pillow_open+convert"] for row in listed}

    rows = {row["path"]: row for row in table(photos.ok(*PREDICT, "odd-images", "--csv").output)}
    lines = photos.ok(*PREDICT, "odd-images").output.splitlines()

    assert rows.keys() == made_of.keys() | {"odd-images/MANIFEST.tsv"}
    assert len(lines) == len(rows)
    assert all(bool(row["class"]) != bool(row["reason"]) for row in rows.values())
    assert all(rows[path]["reason"] for path, pillow in made_of.items() if pillow != "ok")
    readable = [path for path, pillow in made_of.items() if pillow == "ok" and not path.endswith("16bit.cropped.tif")]
    assert all(rows[path]["class"] for path in readable), [rows[path] for path in readable if rows[path]["reason"]]
