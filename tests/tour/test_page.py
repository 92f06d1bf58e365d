from pathlib import Path

import numpy as np
from PIL import Image

from tour.drawing.panels import Panel, panels
from tour.material import Material
from tour.page import Block, Page, Picture, Table, write_index, write_page


def body(material: Material) -> list[Block]:
    photo = Panel(material.photo.image.squeeze(), "photo")
    return ["Some words.", Picture("photo", "A photo", lambda path: panels(path, "Photo", [photo], 1)), Table(("a", "b"), [(1, "x")])]


PAGES = [Page("one", "The first", "about one", body), Page("two", "The second", "about two", body)]


def test_a_page_has_its_words_pictures_and_tables_in_order_and_the_way_on(material: Material, tmp_path: Path) -> None:
    write_page(tmp_path, PAGES, 0, material)
    text = (tmp_path / "01-one.md").read_text()
    table = "| a | b |\n| --- | --- |\n| 1 | x |"
    parts = ["# 1. The first", "Some words.", "![A photo](01-one-photo.png)", table, "\n---\n", "[The second →](02-two.md)"]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "←" not in text


def test_the_last_page_leads_back(material: Material, tmp_path: Path) -> None:
    write_page(tmp_path, PAGES, 1, material)
    assert (tmp_path / "02-two.md").read_text().endswith("[← The first](01-one.md) · [all pages](README.md)\n")


def test_pictures_are_stored_with_a_palette_and_a_thumbnail(material: Material, tmp_path: Path) -> None:
    write_page(tmp_path, PAGES, 0, material)
    with Image.open(tmp_path / "01-one-photo.png") as picture, Image.open(tmp_path / "thumbnail-01-one.png") as small:
        assert picture.mode == "P"
        assert max(small.size) <= 300


def test_the_index_links_every_page_by_its_thumbnail(tmp_path: Path) -> None:
    write_index(tmp_path, PAGES, "Heading", "About it.")
    text = (tmp_path / "README.md").read_text()
    assert text.startswith("# Heading\n\nAbout it.\n\n")
    assert "[![The second](thumbnail-02-two.png)](02-two.md)<br>**[2. The second](02-two.md)**<br>about two" in text


def test_numbers_stand_in_cells_in_ink_that_can_be_read(tmp_path: Path) -> None:
    panels(tmp_path / "dark.png", "", [Panel(np.zeros((1, 1)), "", numbers=".0f")], 1)
    panels(tmp_path / "light.png", "", [Panel(np.full((1, 1), 255.0), "", numbers=".0f")], 1)
    with Image.open(tmp_path / "dark.png") as dark, Image.open(tmp_path / "light.png") as light:
        middle = (dark.height // 3, dark.height * 2 // 3)
        inside = [np.asarray(picture.convert("L"))[middle[0] : middle[1], 40:-40] for picture in (dark, light)]
    assert inside[0].max() > 200
    assert inside[1].min() < 100
