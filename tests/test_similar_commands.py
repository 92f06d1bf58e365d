"""python -m pipeline.command.features and similar: what the network makes of photos and prepared images, and planted copies are found."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.analysis.features import last_features
from pipeline.bundle import Bundle
from pipeline.command import features, similar
from pipeline.config.errors import DataError
from pipeline.dataset.normalise import normalised
from pipeline.inference import sources
from tests.drawn import drawn
from tests.samples import CLASSES


@pytest.fixture
def photo(prepared: Path, tmp_path: Path) -> Path:
    """A photo that is training image 7."""
    Image.fromarray(np.load(prepared / "train.npy")[7].squeeze()).save(tmp_path / "copy.png")
    return tmp_path / "copy.png"


def said(command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    monkeypatch.setattr("sys.argv", ["command", *map(str, arguments)])
    command.main()
    return capsys.readouterr().out.splitlines()


def test_a_planted_copy_is_found_as_the_nearest_and_drawn_first(
    written_bundle: Path, prepared: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.png").write_bytes(b"no image")
    to = ["--bundle", written_bundle, "--prepared", prepared, "--to", tmp_path / "out" / "near.png", "--nearest", "3"]
    with drawn() as figures:
        lines = said(similar, monkeypatch, capsys, tmp_path / "no.png", photo, *to)
    assert lines[0].startswith(f"{tmp_path / 'no.png'}  not read: ")
    assert lines[1].startswith(f"{photo}  said ")
    assert lines[2] == f"  1.000  {CLASSES[7 // 4]}  {sources(prepared, 'train')[7]}"
    cosines = [float(line.split()[0]) for line in lines[2:5]]
    assert cosines == sorted(cosines, reverse=True)
    assert lines[5:] == [f"look: {tmp_path / 'out' / 'near.png'}"]
    left, first, *others = [axes for axes in figures["near.png"].axes if axes.images]
    np.testing.assert_array_equal(left.images[0].get_array(), first.images[0].get_array())
    assert first.get_title() == f"{CLASSES[1]}\n1.000"
    assert len(others) == 2


def test_where_no_photo_can_be_read_it_is_an_error(
    written_bundle: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of = ["--bundle", written_bundle, "--prepared", prepared]
    with pytest.raises(DataError, match=r"a.png is no readable image"):
        said(similar, monkeypatch, capsys, tmp_path / "a.png", *of)
    with pytest.raises(DataError, match="none of these files is a readable image"):
        said(features, monkeypatch, capsys, tmp_path / "a.png", *of, "--csv", tmp_path / "f.csv")
    assert not (tmp_path / "f.csv").exists()


def test_features_of_a_split_and_of_photos_are_those_of_the_last_layer(
    written_bundle: Path, prepared: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Bundle.read(written_bundle)
    of = ["--bundle", written_bundle, "--prepared", prepared]
    images = torch.from_numpy(np.load(prepared / "train.npy"))
    wanted = last_features(bundle.network, normalised(images, bundle.predictor().mean, bundle.predictor().std)).numpy()
    lines = said(features, monkeypatch, capsys, "--split", "train", *of, "--npz", tmp_path / "f.npz")
    assert lines == [f"{wanted.shape[1]} features of 12 images: {tmp_path / 'f.npz'}"]
    with np.load(tmp_path / "f.npz") as arrays:
        np.testing.assert_allclose(arrays["features"], wanted, atol=1e-6)
        assert arrays["paths"].tolist() == sources(prepared, "train")
        assert arrays["classes"].tolist() == [name for name in CLASSES for _ in range(4)]
    said(features, monkeypatch, capsys, photo, *of, "--csv", tmp_path / "f.csv")
    with (tmp_path / "f.csv").open() as stream:
        [row] = csv.DictReader(stream)
    assert row.pop("path") == str(photo)
    assert list(row) == [f"f{number}" for number in range(wanted.shape[1])]
    np.testing.assert_allclose([float(value) for value in row.values()], wanted[7], rtol=1e-4, atol=1e-6)


def test_photos_or_a_split_are_wanted_and_not_both(
    photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for given in ([], [photo, "--split", "test"]):
        with pytest.raises(SystemExit):
            said(features, monkeypatch, capsys, *given, "--csv", "f.csv")
        assert "give photos, or --split with the name of one, and not both" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        said(features, monkeypatch, capsys, photo)
    assert "give the file to write: --csv FILE or --npz FILE" in capsys.readouterr().err
