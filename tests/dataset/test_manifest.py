import dataclasses
import json
from pathlib import Path

import pytest

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest, made_from


def test_a_manifest_is_read_as_it_was_written(manifest: Manifest, tmp_path: Path) -> None:
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest
    assert Manifest.from_dict(json.loads(json.dumps(manifest.to_dict()))) == manifest


def test_a_manifest_can_t_be_changed(manifest: Manifest) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        manifest.refused = 3  # type: ignore[misc]


def test_sizes_follow_from_the_shape_and_the_counts(manifest: Manifest) -> None:
    assert (manifest.size, manifest.channels) == (8, 1)
    assert [manifest.images(split) for split in ("train", "validation", "test")] == [12, 9, 6]


def test_a_folder_without_prepared_images_is_told_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"there are no prepared images in {tmp_path}; make them with `dvc repro resize`"):
        Manifest.read(tmp_path)


def test_the_config_that_made_the_images_is_accepted_also_from_another_mirror(manifest: Manifest, cfg: Config) -> None:
    cfg.dataset.sources.mirrors = ["https://elsewhere"]
    for file in cfg.dataset.sources.files.values():
        file.url, file.bytes = "https://elsewhere/still", 1
    cfg.training.epochs += 1
    manifest.require(cfg)
    assert "mirrors" not in made_from(cfg)["dataset"]["sources"]


@pytest.mark.parametrize(
    ("key", "value"), [("resize.size", 16), ("resize.method", "crop"), ("dataset.split.seed", 7), ("dataset.channels", 3)]
)
def test_a_config_for_other_images_is_refused_with_the_key_and_the_commands(
    key: str, value: object, manifest: Manifest, cfg: Config
) -> None:
    node: object = cfg
    *parents, last = key.split(".")
    for parent in parents:
        node = getattr(node, parent)
    found = getattr(node, last)
    setattr(node, last, value)
    with pytest.raises(DataError) as caught:
        manifest.require(cfg, [f"{key}={value}", "dataset.splits={train: my photos}"])
    message = str(caught.value)
    assert f"the prepared images were made with {key}={found}, this config asks for {value}" in message
    assert f"`dvc exp run -S {key}={value} -S 'dataset.splits={{train: my photos}}'`" in message
    assert f"`python -m pipeline.stage.fetch {key}={value} 'dataset.splits={{train: my photos}}' hydra.run.dir=runs/NAME`" in message


def test_another_dataset_is_told_before_what_goes_with_it(manifest: Manifest, cfg: Config) -> None:
    cfg.dataset.name = "digits"
    cfg.dataset.channels = 3
    with pytest.raises(DataError, match=r"made with dataset\.name=mnist, this config asks for digits.*`dvc exp run -S dataset=digits`"):
        manifest.require(cfg, ["dataset=digits"])


def test_what_conf_itself_asks_for_takes_no_words(manifest: Manifest, cfg: Config) -> None:
    cfg.dataset.splits = {"train": "train"}  # the images were made with splits that conf/ does not have
    with pytest.raises(DataError, match=r"`dvc exp run`, or for a live run with `python -m pipeline\.stage\.fetch hydra\.run\.dir="):
        manifest.require(cfg)
