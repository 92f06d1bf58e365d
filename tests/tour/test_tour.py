"""The pages as a whole: what they are made of, and the ones that are in docs/tour."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.project import ROOT
from tests.samples import CONF
from tour.material import Lesson, Material, prepared_photo
from tour.networks import measured, names, row
from tour.page import stem, write_index, write_page
from tour.small_training import trained
from tour.tour import PAGES, write_tour

TRAINED = ("learning-rate", "filter-count", "first-weights", "choices", "flattening", "data-and-depth")  # pages of many small trainings
QUICK = [index for index, page in enumerate(PAGES) if page.name not in (*TRAINED, "networks")]
DOCS = ROOT / "docs" / "tour"


def test_the_small_trainings_see_no_test_image(lesson: Lesson, prepared: Path) -> None:
    used = {image.tobytes() for split in ("train", "validation") for image in np.load(prepared / f"{split}.npy")}
    assert {image.tobytes() for image in lesson.pixels} < used
    assert (len(lesson.images), len(lesson.held_out)) == (17, 4)
    assert lesson.about == "17 images of mnist at 8x8 pixels, 3 classes"
    assert (
        lesson.measured
        == "Accuracy is that on 4 others; none of them are test images. On another kind of processor the last digits differ."
    )


def test_the_photo_is_the_first_training_image(prepared: Path) -> None:
    photo = prepared_photo(prepared)
    assert photo.image.tobytes() == np.load(prepared / "train.npy")[0].tobytes()
    assert photo.about == "The image is the first training image of mnist, of class top."


@pytest.mark.parametrize("index", QUICK, ids=lambda index: PAGES[index].name)
def test_each_page_is_made_of_ones_own_images(index: int, material: Material, tmp_path: Path) -> None:
    trained.cache_clear()  # whichever page comes first trains the network that several look at
    write_page(tmp_path, PAGES, index, material)
    text = (tmp_path / f"{stem(index, PAGES[index])}.md").read_text()
    pictures = {path.name for path in tmp_path.glob("*.png") if not path.name.startswith("thumbnail")}
    assert pictures == set(re.findall(r"!\[.*?\]\((.*?)\)", text))


@pytest.mark.parametrize(
    ("name", "parameters", "macs", "field"),
    [("lenet", 63_802, 418_600, 16), ("keras", 438_842, 66_150_080, 6), ("classic", 69_610, None, 12), ("alexnet", 60_965_224, None, 195)],
)
def test_the_networks_figures_are_counted_on_the_networks(name: str, parameters: int, macs: int | None, field: int) -> None:
    found = measured(CONF, name)
    assert (found.parameters, found.field) == (parameters, field)
    assert macs in (None, found.macs)


def test_googlenet_is_counted_without_its_auxiliary_heads() -> None:
    assert measured(CONF, "googlenet").parameters == 6_998_552


def test_a_network_that_ends_with_an_l2_pooling_sees_through_it(tmp_path: Path) -> None:
    shutil.copytree(CONF, tmp_path / "conf")
    (tmp_path / "conf" / "model" / "cnn.yaml").write_text(
        "name: cnn\n_target_: pipeline.model.cnn.CNN\nlayers:\n  conv: {kind: conv, filters: 4, kernel: 3}\n"
        "  pool: {kind: l2_pool, kernel: 2}\n  scores: {kind: linear}\n"
    )
    assert measured(tmp_path / "conf", "cnn").field == 4


def rows_in_docs() -> dict[str, tuple[str, ...]]:
    """Return the lines of the networks' table in docs/tour, by the network's name."""
    [page] = DOCS.glob("*-networks.md")
    lines = [line.strip("|").split("|") for line in page.read_text().splitlines() if line.startswith("| `")]
    return {line[0].strip(" `"): tuple(cell.strip() for cell in line) for line in lines[1:]}


def test_docs_have_a_row_for_every_network_of_conf_and_for_no_other() -> None:
    assert sorted(rows_in_docs()) == names(CONF)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "vgg11", "mlp"])
def test_a_network_s_row_in_docs_is_what_is_counted_now(name: str) -> None:
    assert rows_in_docs()[name] == row(name, measured(CONF, name))


@pytest.mark.slow
def test_every_network_s_row_in_docs_is_what_is_counted_now() -> None:
    assert rows_in_docs() == {name: row(name, measured(CONF, name)) for name in names(CONF)}


@pytest.mark.slow
def test_the_whole_tour_is_made(material: Material, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tour(tmp_path, material)
    assert f"{len(PAGES)} of {len(PAGES)}: Where the tutorials err" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.md"))) == len(PAGES) + 1
    for path in tmp_path.glob("*.md"):
        assert_links_lead_somewhere(path)


def test_docs_hold_the_pages_of_the_tour_and_no_other() -> None:
    assert {path.stem for path in DOCS.glob("*.md")} == {"README", *(stem(index, page) for index, page in enumerate(PAGES))}


def test_the_index_in_docs_is_that_of_the_pages(tmp_path: Path) -> None:
    write_index(tmp_path, PAGES, "", "")
    table = (tmp_path / "README.md").read_text().strip("# \n")
    assert (DOCS / "README.md").read_text().strip().endswith(table)
    for index, page in enumerate(PAGES):
        assert (DOCS / f"{stem(index, page)}.md").read_text().startswith(f"# {index + 1}. {page.title}\n")


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda path: path.stem)
def test_links_of_the_pages_in_docs_lead_somewhere(path: Path) -> None:
    assert_links_lead_somewhere(path)


def test_the_pages_in_docs_are_small() -> None:
    sizes = [path.stat().st_size for path in DOCS.glob("*.png")]
    assert max(sizes) < 150_000
    assert sum(sizes) < 4_000_000


def assert_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]*)\)", path.read_text()):
        assert link.startswith("https://") or (path.parent / link).exists(), f"{path.name}: {link}"
