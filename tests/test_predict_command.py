"""python -m pipeline.command.predict: an answer a photo, one that can't be read among them; an error only where none can."""

import csv
import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from pipeline.analysis.tta import PLAIN, TTA
from pipeline.bundle import Bundle
from pipeline.command.predict import explained, main
from pipeline.config.errors import DataError
from pipeline.dataset.photos import Photo, files_of
from pipeline.prediction import Prediction
from tests.drawn import drawn
from tests.samples import CLASSES
from tests.test_prediction import photos

__all__ = ["photos"]


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    monkeypatch.setattr("sys.argv", ["predict", *map(str, arguments)])
    main()
    return capsys.readouterr().out.splitlines()


def test_a_pipe_a_broken_link_and_a_name_that_is_not_there_stop_no_other(
    written_bundle: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    lines = said(monkeypatch, capsys, "--bundle", written_bundle, tmp_path / "gone.jpg", tmp_path, tmp_path / "folder")
    assert len(lines) == 1 + len(photos) + 2 + 1
    assert f"{tmp_path}/gone.jpg  not read: it can't be read: there is no such file" in lines
    assert f"{tmp_path}/pipe.jpg  not read: it is a pipe, not a file" in lines
    assert f"{tmp_path}/link.jpg  not read: it can't be read: its link is broken" in lines
    assert f"{tmp_path}/folder  not read: it is a folder, not a file" in lines
    assert sum(" not read: " not in line for line in lines) == 6


def test_where_none_can_be_read_each_has_its_line_and_it_is_an_error(
    written_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(DataError, match="none of 2 files is a readable image") as error:
        said(monkeypatch, capsys, "--bundle", written_bundle, tmp_path / "gone.jpg", tmp_path / "pipe.jpg")
    assert error.value.exit_code == 65
    assert len(capsys.readouterr().out.splitlines()) == 2
    with pytest.raises(DataError, match=r"gone.jpg is no readable image"):
        said(monkeypatch, capsys, "--bundle", written_bundle, tmp_path / "gone.jpg")


def test_the_table_has_a_column_for_each_class_and_a_row_for_each_file(
    written_bundle: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(csv.DictReader(said(monkeypatch, capsys, "--bundle", written_bundle, "--csv", *photos)))
    assert list(rows[0]) == ["path", "class", "probability", *(f"p({name})" for name in CLASSES), "reason"]
    assert [row["path"] for row in rows] == [str(path) for path in photos]
    for row in rows:
        assert bool(row["reason"]) != bool(row["class"])
        assert not row["class"] or row["probability"] == row[f"p({row['class']})"]


def test_top_limits_the_classes_of_a_line(
    written_bundle: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = said(monkeypatch, capsys, "--bundle", written_bundle, "--top", "1", photos[0])
    assert sum(name in line.partition("(")[2] for name in CLASSES) == 1
    for wrong in ("0", "-1", "two"):
        with pytest.raises(SystemExit):
            said(monkeypatch, capsys, "--bundle", written_bundle, "--top", wrong, photos[0])
        assert f"--top: '{wrong}' is not a whole number from 1 on" in capsys.readouterr().err.replace("argument ", "")


def test_photos_are_answered_in_the_order_of_the_command_and_hidden_ones_in_folders_are_not(tmp_path: Path) -> None:
    for name in ("b.jpg", "folder/2.jpg", "folder/1.jpg", "folder/.hidden.jpg", "folder/.cache/1.jpg", ".named.jpg", "a.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    given = [tmp_path / name for name in ("b.jpg", "folder", ".named.jpg", "a.jpg")]
    found = [str(path.relative_to(tmp_path)) for path in files_of(given)]
    assert found == ["b.jpg", "folder/1.jpg", "folder/2.jpg", ".named.jpg", "a.jpg"]


def test_views_change_the_probabilities(
    written_bundle: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    by_tta = {tta: said(monkeypatch, capsys, "--bundle", written_bundle, "--csv", "--tta", tta, photos[0]) for tta in TTA}
    assert len({rows[1] for rows in by_tta.values()}) == len(TTA)
    assert said(monkeypatch, capsys, "--bundle", written_bundle, "--csv", photos[0]) == by_tta[PLAIN]


def test_explain_draws_grad_cam_of_each_answer(
    written_bundle: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.command.predict.FOLDER", tmp_path / "explained")
    (tmp_path / "no.png").write_bytes(b"no image")
    plain = said(monkeypatch, capsys, "--bundle", written_bundle, tmp_path / "no.png", photos[0], photos[0])
    with drawn() as figures:
        lines = said(monkeypatch, capsys, "--bundle", written_bundle, "--explain", tmp_path / "no.png", photos[0], photos[0])
    pictures = [tmp_path / "explained" / f"{number}-{photos[0].stem}-grad_cam.png" for number in (2, 3)]
    assert lines == [plain[0], *(f"{line}  {picture}" for line, picture in zip(plain[1:], pictures, strict=True))]
    assert sorted((tmp_path / "explained").iterdir()) == pictures
    for picture in pictures:
        assert figures[picture.name].get_suptitle().startswith(f"{photos[0].name}: predicted ")
        assert "Grad-CAM" in [axes.get_title(loc="left") for axes in figures[picture.name].axes]


def test_a_network_without_maps_says_so(bundle: Bundle, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.command.predict.FOLDER", tmp_path / "explained")
    flat = replace(bundle, network=nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    assert explained(flat, Prediction(Photo.at(photos[0]), "top", [0.5, 0.3, 0.2]), 1) == "no Grad-CAM: the network has no maps"


def test_a_table_and_pictures_are_not_to_be_had_together(
    written_bundle: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        said(monkeypatch, capsys, "--bundle", written_bundle, "--csv", "--explain", photos[0])
    assert "--explain: not allowed with argument --csv" in capsys.readouterr().err


def test_a_folder_of_class_folders_is_scored_below_the_answers(
    written_bundle: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photos[0].parent / "by_class"
    for path in (photos[0], photos[-1]):
        (folder / CLASSES[0]).mkdir(parents=True, exist_ok=True)
        (folder / CLASSES[0] / path.name).write_bytes(path.read_bytes())
    lines = said(monkeypatch, capsys, "--bundle", written_bundle, folder)
    assert lines[3].startswith("accuracy ")
    assert lines[4].startswith(f"  {CLASSES[0]}  ")
    rows = json.loads("\n".join(said(monkeypatch, capsys, "--bundle", written_bundle, "--format", "json", folder)))
    assert lines[3].startswith(f"accuracy {rows['score']['accuracy']:.4f} ({rows['score']['right']} of 2), 95% interval ")
    assert rows["score"]["right"] == sum(row["class"] == CLASSES[0] for row in rows["photos"])


def test_an_archive_is_answered_as_its_files_are_and_nothing_of_it_stays(
    written_bundle: Path, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(photos[0], photos[0].name)
    [of_file] = said(monkeypatch, capsys, "--bundle", written_bundle, photos[0])
    [of_archive] = said(monkeypatch, capsys, "--bundle", written_bundle, tmp_path / "photos.zip")
    assert of_archive == of_file.replace(str(photos[0]), f"{tmp_path}/photos.zip/{photos[0].name}")
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_terminal_gets_a_table_that_fits(
    written_bundle: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = said(monkeypatch, capsys, "--bundle", written_bundle, "--format", "table", *photos)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    lines = said(monkeypatch, capsys, "--bundle", written_bundle, *photos)
    assert lines == asked
    assert lines[0].split() == ["photo", "class", "prob.", "next"]
    assert len(lines) == 1 + len(photos)
    assert max(map(len, lines)) <= 80


def test_progress_of_many_is_told_beside_the_answers(
    written_bundle: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.inference.INTERVAL", 0)
    monkeypatch.setattr("sys.argv", ["predict", "--bundle", str(written_bundle), "--csv", *map(str, photos)])
    main()
    out, notes = capsys.readouterr()
    assert len(out.splitlines()) == 1 + len(photos)
    assert re.fullmatch(rf"classifying: {len(photos)} of {len(photos)} images, [\d,]+ images/s, 0 s left", notes.splitlines()[-1])
