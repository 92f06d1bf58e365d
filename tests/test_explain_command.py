"""python -m pipeline.command.explain: two pictures a photo, of the class that is asked about."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.bundle import Bundle
from pipeline.command.explain import main
from pipeline.config.errors import DataError
from pipeline.photo_explanation import attributions
from pipeline.prediction import read_photo
from tests.drawn import drawn
from tests.samples import CLASSES, bars


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of a bright bar in the middle, in colour and larger than the network's images."""
    gray = Image.fromarray(bars(1, 1, np.random.default_rng(1))[0]).convert("RGB").resize((40, 40))
    gray.save(tmp_path / "a bar.png")
    return tmp_path / "a bar.png"


def explain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> list[str]:
    monkeypatch.setattr("sys.argv", ["explain", *map(str, arguments)])
    main()
    return capsys.readouterr().out.splitlines()


def test_each_photo_gets_its_attributions_and_feature_maps_and_the_unreadable_a_reason(
    written_bundle: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no.png").write_bytes(b"no image")
    folder = tmp_path / "why"
    with drawn() as figures:
        lines = explain(monkeypatch, capsys, photo, tmp_path / "no.png", photo, "--bundle", written_bundle, "--to", folder)
    names = [f"{number}-a_bar-{kind}.png" for number in (1, 3) for kind in ("attributions", "feature_maps")]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert lines[0] == f"{photo}  {folder / names[0]}, {folder / names[1]}"
    assert lines[1].startswith(f"{tmp_path / 'no.png'}  not read: ")
    assert (folder / names[0]).read_bytes() == (folder / names[2]).read_bytes()  # the same photo, the same picture
    titles = [axes.get_title(loc="left").strip() for axes in figures[names[0]].axes]
    assert {"Grad-CAM", "guided backprop", "saliency", "integrated gradients", "covered by 2×2: the class"} <= set(titles)


def test_a_class_can_be_asked_about_that_is_not_the_answer(
    written_bundle: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in CLASSES:
        with drawn() as figures:
            explain(monkeypatch, capsys, photo, "--bundle", written_bundle, "--to", tmp_path / name, "--class", name)
        [title] = {figure.get_suptitle() for name, figure in figures.items() if "attributions" in name}
        said = title.split(" predicted ")[1].split(" ")[0]
        assert title.endswith(f"; what in the image points to {name}?") == (name != said)


def test_an_unknown_class_is_refused_with_the_nearest(
    written_bundle: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "--class is 'midle', expected one of the network's classes top, middle, bottom; did you mean middle?"
    with pytest.raises(DataError) as error:
        explain(monkeypatch, capsys, photo, "--bundle", written_bundle, "--to", tmp_path / "why", "--class", "midle")
    assert str(error.value) == message
    assert not (tmp_path / "why").exists()


def test_where_no_photo_can_be_read_it_is_an_error(
    written_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="none of 2 files is a readable image"):
        explain(monkeypatch, capsys, tmp_path / "a.png", tmp_path / "b.png", "--bundle", written_bundle, "--to", tmp_path / "why")
    with pytest.raises(DataError, match=r"a.png is no readable image"):
        explain(monkeypatch, capsys, tmp_path / "a.png", "--bundle", written_bundle, "--to", tmp_path / "why")


def test_attributions_are_of_the_scores_of_the_class_and_of_the_image_as_the_network_sees_it(bundle: Bundle, photo: Path) -> None:
    image = read_photo(bundle, photo)
    assert image.shape == (8, 8, 1)
    assert image.dtype == np.uint8
    predictor = bundle.predictor()
    mean = (255 * predictor.mean)[None, None, None].expand(1, 8, 8, 1)
    for number, name in enumerate(CLASSES):
        found = attributions(bundle, image, name, 8)
        with torch.no_grad():
            score, mean_score = (predictor.scores(images)[0, number] for images in (torch.from_numpy(image)[None], mean))
        assert found.integrated.sum() == pytest.approx((score - mean_score).item(), rel=0.05, abs=0.01)
        assert found.occlusion.probability.shape == (8, 8)
        assert found.saliency.shape == found.grad_cam.shape == (8, 8)
        assert found.layer == "relu"
