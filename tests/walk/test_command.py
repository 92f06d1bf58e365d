"""python -m pipeline.command.walk: a page of any bundle, with or without images to choose from."""

from pathlib import Path

import pytest
from torch import nn

from pipeline.bundle import Bundle
from pipeline.command.walk import main
from pipeline.config.errors import DataError


def walk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    monkeypatch.setattr("sys.argv", ["walk", *map(str, arguments)])
    main()
    return capsys.readouterr().out


def test_the_page_holds_images_of_the_data_that_the_network_was_trained_on_and_no_others(
    written_bundle: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "walk.html"
    told = walk(monkeypatch, capsys, "--bundle", written_bundle, "--prepared", prepared, "--to", page)
    assert told == f"{page} (0.1 MB)\n"
    assert '"label": "middle"' in page.read_text()
    told = walk(monkeypatch, capsys, "--bundle", written_bundle, "--prepared", tmp_path, "--to", page)
    assert told == f"{page} (0.1 MB); without images to choose from, as {tmp_path} does not hold those that it was trained on\n"
    assert '"samples": []' in page.read_text()


def test_equal_bundles_give_equal_pages(
    written_bundle: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [tmp_path / name for name in ("one.html", "other.html")]
    for page in pages:
        walk(monkeypatch, capsys, "--bundle", written_bundle, "--prepared", prepared, "--to", page)
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_a_network_that_the_page_cannot_compute_is_refused_by_the_layer(
    written_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def with_another_layer(folder: Path) -> Bundle:
        bundle = read(folder)
        bundle.network.layers.relu = nn.Hardswish()
        return bundle

    read = Bundle.read
    monkeypatch.setattr(Bundle, "read", with_another_layer)
    with pytest.raises(DataError, match=r"no walk through small: this page can't compute layers\.relu \(hardswish\); pipeline/walk/trans"):
        walk(monkeypatch, capsys, "--bundle", written_bundle, "--to", tmp_path / "walk.html")
    assert not (tmp_path / "walk.html").exists()
