from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.bundle import Bundle
from pipeline.config.errors import DataError
from pipeline.dataset.geometry import fit
from pipeline.dataset.photos import Photo
from pipeline.prediction import Prediction, Unreadable, header
from pipeline.prediction import predict as predict_photos
from tests.dataset.test_unreadable import UNREADABLE
from tests.samples import CLASSES, encoded


def predict(bundle: Bundle, paths: list[Path], batch: int, tta: str) -> Iterator[Prediction | Unreadable]:
    return predict_photos(bundle, [Photo.at(path) for path in paths], batch, tta)


@pytest.fixture
def photos(prepared: Path, tmp_path: Path) -> list[Path]:
    """The test images as files of several kinds, and two that are no images."""
    paths = []
    for i, image in enumerate(np.load(prepared / "test.npy")):
        paths.append(tmp_path / f"{i}.{('png', 'bmp', 'tiff')[i % 3]}")
        Image.fromarray(image[..., 0]).convert("RGB").save(paths[-1])
    for place, name, data in ((1, "notes.txt", b"buy milk"), (4, "empty.jpg", b"")):
        (tmp_path / name).write_bytes(data)
        paths.insert(place, tmp_path / name)
    return paths


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_every_file_has_one_answer_in_order_whatever_the_batch(batch: int, bundle: Bundle, photos: list[Path]) -> None:
    answers = list(predict(bundle, photos, batch, "plain"))
    assert [answer.photo.path for answer in answers] == photos
    assert {answer.photo.path.name: answer.reason for answer in answers if isinstance(answer, Unreadable)} == {
        "notes.txt": "not an image",
        "empty.jpg": "the file is empty",
    }


def test_a_photo_gets_the_probabilities_that_the_network_gives_its_prepared_image(
    bundle: Bundle, photos: list[Path], prepared: Path
) -> None:
    found = [answer for answer in predict(bundle, photos, 4, "plain") if isinstance(answer, Prediction)]
    with torch.no_grad():
        expected = bundle.predictor()(torch.from_numpy(np.load(prepared / "test.npy")))
    np.testing.assert_allclose([answer.probabilities for answer in found], expected, atol=1e-6)
    assert [answer.label for answer in found] == [CLASSES[i] for i in expected.argmax(dim=1)]


def test_larger_colour_photos_are_brought_to_the_network_s_size(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "large.webp"
    path.write_bytes(encoded(Image.new("RGBA", (90, 50), (9, 200, 9, 100)), "WEBP"))
    [answer] = predict(bundle, [path], 4, "plain")
    assert isinstance(answer, Prediction)
    assert sum(answer.probabilities) == pytest.approx(1)


@pytest.mark.parametrize("method", ["stretch", "letterbox", "crop"])
def test_photos_are_resized_by_the_method_of_the_training(method: str, bundle: Bundle, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 40, 1), dtype=np.uint8)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "wide.png")
    trained = replace(bundle, manifest=replace(bundle.manifest, method=method))
    [answer] = predict(trained, [tmp_path / "wide.png"], 4, "plain")
    assert isinstance(answer, Prediction)
    with torch.no_grad():
        expected = bundle.predictor()(torch.from_numpy(fit(pixels, 8, method)[None]))
    np.testing.assert_allclose([answer.probabilities], expected, atol=1e-6)


@pytest.mark.parametrize("shade", [0, 255])
def test_photos_are_decoded_as_those_of_the_training(shade: int, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "clear.png").write_bytes(encoded(Image.new("RGBA", (8, 8), (90, 90, 90, 0)), "PNG"))
    decoding = bundle.manifest.made_from["decode"] | {"background": [shade] * 3}
    trained = replace(bundle, manifest=replace(bundle.manifest, made_from=bundle.manifest.made_from | {"decode": decoding}))
    [answer] = predict(trained, [tmp_path / "clear.png"], 4, "plain")
    assert isinstance(answer, Prediction)
    with torch.no_grad():
        expected = bundle.predictor()(torch.full((1, 8, 8, 1), shade, dtype=torch.uint8))
    np.testing.assert_allclose([answer.probabilities], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kept", "words"), [({}, "nothing"), ({"decode": {"background": [0, 0, 0]}}, "background")], ids=["no decoding", "a part of it"]
)
def test_an_old_bundle_that_does_not_say_how_photos_were_decoded_is_refused(
    kept: dict[str, object], words: str, bundle: Bundle, photos: list[Path]
) -> None:
    old = replace(bundle, manifest=replace(bundle.manifest, made_from=kept))
    message = rf"the bundle was made before this version .* has {words}, expected name, background, .*; train again with `dvc repro`$"
    with pytest.raises(DataError, match=message):
        list(predict(old, photos, 4, "plain"))


def test_a_file_named_twice_is_answered_twice(bundle: Bundle, photos: list[Path]) -> None:
    assert len(list(predict(bundle, [photos[0], photos[0]], 4, "plain"))) == 2


def test_of_no_files_there_are_no_answers(bundle: Bundle) -> None:
    assert list(predict(bundle, [], 4, "plain")) == []


def test_one_photo_that_cannot_be_read_has_its_answer_and_the_others_theirs(bundle: Bundle, photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    for name, (make, _) in UNREADABLE.items():
        make(tmp_path / "odd" / name)
    odd = [tmp_path / "odd" / name for name in UNREADABLE] + [tmp_path / "gone.jpg", tmp_path / "odd"]
    mixed = [path for both in zip(odd, photos[-len(odd) :], strict=True) for path in both]
    reasons = [why for _, why in UNREADABLE.values()] + ["it can't be read: there is no such file", "it is a folder, not a file"]
    answers = list(predict(bundle, mixed, 3, "plain"))
    assert [answer.photo.path for answer in answers] == mixed
    assert [answer.reason for answer in answers[::2] if isinstance(answer, Unreadable)] == reasons
    alone = {answer.photo.path: answer for answer in predict(bundle, photos, 3, "plain")}
    for answer in answers[1::2]:
        expected = alone[answer.photo.path]
        if isinstance(answer, Prediction) and isinstance(expected, Prediction):
            np.testing.assert_allclose(answer.probabilities, expected.probabilities, atol=1e-6)
        else:
            assert answer == expected


def test_answers_are_rows_of_one_table() -> None:
    read, unread = Prediction(Photo.at(Path("a.jpg")), "b", [0.25, 0.75]), Unreadable(Photo.at(Path("x")), "not an image")
    assert header(["a", "b"]) == ["path", "class", "probability", "p(a)", "p(b)", "reason"]
    assert read.row(["a", "b"]) == ["a.jpg", "b", "0.750000", "0.250000", "0.750000", ""]
    assert unread.row(["a", "b"]) == ["x", "", "", "", "", "not an image"]


def test_classes_may_be_called_as_the_other_columns_are() -> None:
    names = ["class", "path", "probability", "reason", "p(path)"]
    assert len(set(header(names))) == 4 + len(names)


def test_answers_are_lines_for_people() -> None:
    read, unread = Prediction(Photo.at(Path("a.jpg")), "b", [0.25, 0.75]), Unreadable(Photo.at(Path("x")), "not an image")
    assert read.line(["a", "b"], 10) == "a.jpg  b  0.750   (a 0.250  b 0.750)"
    assert unread.line(["a", "b"], 10) == "x  not read: not an image"


def test_of_many_classes_a_line_has_the_most_probable() -> None:
    read = Prediction(Photo.at(Path("a.jpg")), "c2", [0.1, 0.2, 0.4, 0.3])
    assert read.line(["c0", "c1", "c2", "c3"], 3) == "a.jpg  c2  0.400   (c2 0.400  c3 0.300  c1 0.200)"
    assert read.line(["c0", "c1", "c2", "c3"], 4).endswith("(c0 0.100  c1 0.200  c2 0.400  c3 0.300)")


def test_a_line_stays_a_line_whatever_the_names_are() -> None:
    read = Prediction(Photo.at(Path("odd\n\x1b[31m.jpg")), "a\tb\u202e", [1.0])
    assert read.line(["a\tb\u202e"], 10) == r"odd\n\x1b[31m.jpg  a\tb\u202e  1.000   (a\tb\u202e 1.000)"
    assert Unreadable(Photo.at(Path("\udcff")), "why").line([], 10) == r"\udcff  not read: why"
