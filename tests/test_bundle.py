import dataclasses
import errno
import json
import os
import pickle
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import Bundle, Predictor, _renamed, make_network, write_bundle
from pipeline.config.errors import ConfigError, DataError
from pipeline.config.schema import Config
from pipeline.dataset.manifest import Manifest
from pipeline.report import write_report

FILES = ["bundle.json", "filters.npy", "history.csv", "weights.safetensors"]


def written(bundle: Bundle, folder: Path) -> str:
    folder.mkdir()
    return write_bundle(folder, bundle.network, bundle.manifest, bundle.config, bundle.validation, bundle.history, bundle.filters)


def flip_byte(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def rewrite(folder: Path, change: Callable[[dict], None]) -> None:
    """Change bundle.json, its checksum of the weights kept right."""
    tree = json.loads((folder / "bundle.json").read_text())
    change(tree)
    (folder / "bundle.json").write_text(json.dumps(tree))


def test_a_bundle_is_read_as_it_was_written(bundle: Bundle, small_config: Config, manifest: Manifest) -> None:
    assert bundle.manifest == manifest
    assert bundle.config["model"] == small_config.model
    assert bundle.config["training"]["epochs"] == 3
    assert bundle.validation == bundle.history[0]
    assert [row["epoch"] for row in bundle.history] == [1, 2]
    torch.manual_seed(0)
    fresh = make_network(small_config.model, manifest, None).state_dict()
    assert all(torch.equal(fresh[name], value) for name, value in bundle.network.state_dict().items())
    assert bundle.parameters == sum(value.numel() for value in fresh.values())


def test_filters_are_read_as_they_were_written(bundle: Bundle) -> None:
    assert bundle.filters is not None
    assert bundle.filters.shape == (3, 8, 1, 3, 3)  # before training, after two epochs
    np.testing.assert_array_equal(bundle.filters[bundle.best_epoch], bundle.network.state_dict()["layers.conv.weight"])


def test_a_network_without_convolutions_has_no_filters(bundle: Bundle, tmp_path: Path) -> None:
    written(dataclasses.replace(bundle, filters=None), tmp_path / "flat")
    assert Bundle.read(tmp_path / "flat").filters is None


def test_equal_work_has_equal_bytes(bundle: Bundle, tmp_path: Path) -> None:
    assert written(bundle, tmp_path / "one") == written(bundle, tmp_path / "two") == Bundle.read(tmp_path / "two").digest
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == FILES
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", ["weights.safetensors", "filters.npy"])
def test_a_file_for_which_there_is_no_room_raises_the_system_s_reason(
    name: str, bundle: Bundle, bundle_folder: Path, tmp_path: Path
) -> None:
    large = dataclasses.replace(bundle, filters=np.zeros((500, 8, 1, 3, 3), np.float32))
    sizes = {path.name: path.stat().st_size for path in bundle_folder.iterdir()}
    with pytest.raises(OSError, match="File too large") as caught, files_of_at_most(max(sizes.values()) if name == "filters.npy" else 100):
        written(large, tmp_path / "full")
    assert caught.value.errno == errno.EFBIG
    assert (tmp_path / "full" / name).exists()


def test_other_weights_have_another_digest(bundle: Bundle, tmp_path: Path) -> None:
    with torch.no_grad():
        next(bundle.network.parameters()).flatten()[0] += 1
    assert written(bundle, tmp_path / "other") != bundle.digest


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_flipped_byte_in_the_weights_is_refused(place: int, bundle_folder: Path) -> None:
    flip_byte(bundle_folder / "weights.safetensors", place)
    with pytest.raises(DataError, match=r"weights.safetensors is damaged: sha256 \w{64}, expected \w{64}; restore it with `dvc checkout`"):
        Bundle.read(bundle_folder)


@pytest.mark.parametrize("name", [name for name in FILES if name != "filters.npy"])
def test_a_missing_file_is_told_with_the_command(name: str, bundle_folder: Path) -> None:
    (bundle_folder / name).unlink()
    with pytest.raises(DataError, match=rf"there is no trained network in .*bundle: {name} is missing; train one with `dvc repro`"):
        Bundle.read(bundle_folder)


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_a_pickle_in_place_of_the_weights_is_not_run(bundle_folder: Path, tmp_path: Path) -> None:
    data = pickle.dumps(Payload(tmp_path / "ran"))
    (bundle_folder / "weights.safetensors").write_bytes(data)
    rewrite(bundle_folder, lambda tree: tree.update(weights_sha256=sha256(data).hexdigest()))
    with pytest.raises(
        DataError, match=r"weights.safetensors is not what a bundle of this project holds \(SafetensorError: .*; restore it"
    ):
        Bundle.read(bundle_folder)
    assert not (tmp_path / "ran").exists()


def test_a_pickle_among_the_filters_is_not_run(bundle_folder: Path, tmp_path: Path) -> None:
    np.save(bundle_folder / "filters.npy", np.array([Payload(tmp_path / "ran")], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"filters.npy is not what a bundle of this project holds \(ValueError: .*Python objects"):
        Bundle.read(bundle_folder)
    assert not (tmp_path / "ran").exists()


HEADER = (2**40).to_bytes(8, "little") + b"{}"  # of a safetensors file: its length, then JSON
PROMISES = b"\x93NUMPY\x01\x00\x76\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,)}".ljust(117) + b"\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("weights.safetensors", HEADER),
        ("weights.safetensors", b""),
        ("layer_filters.safetensors", HEADER),
        ("filters.npy", PROMISES),
        ("filters.npy", b"PK\x03\x04 an archive"),
        ("filters.npy", b""),
        ("history.csv", b"epoch,loss\n1,much\n"),
        ("history.csv", b"\xff\xfe"),
    ],
)
def test_a_file_that_promises_more_than_it_has_or_is_another_is_refused(name: str, data: bytes, bundle_folder: Path) -> None:
    (bundle_folder / name).write_bytes(data)
    if name == "weights.safetensors":
        rewrite(bundle_folder, lambda tree: tree.update(weights_sha256=sha256(data).hexdigest()))
    with pytest.raises(DataError, match=f"{name} is not what a bundle of this project holds .*; restore it with `dvc checkout`"):
        Bundle.read(bundle_folder)


def put(*keys: str, to: object) -> Callable[[dict], None]:
    def change(tree: dict) -> None:
        for key in keys[:-1]:
            tree = tree[key]
        tree[keys[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tree: tree.pop("manifest"), "KeyError: 'manifest'"),
        (lambda tree: tree["config"].pop("training"), "KeyError: 'training'"),
        (lambda tree: tree["manifest"].pop("refused"), "missing 1 required .* 'refused'"),
        (put("manifest", "more", to=1), "unexpected keyword argument 'more'"),
        (put("manifest", "image_shape", to=[10**6, 10**6, 3]), "1000000 x 1000000 x 3, expected n x n x 1 or 3, n at most 4096"),
        (put("manifest", "image_shape", to=[8, 8, 4]), "8 x 8 x 4, expected n x n x 1 or 3"),
        (put("manifest", "image_shape", to=["a", "a", 1]), "TypeError"),
        (put("manifest", "classes", to=3), "classes is no list of names"),
        (put("manifest", "classes", to=[1, 2, 3]), "classes is no list of names"),
        (put("manifest", "mean", to=[0.5, 0.5]), r"mean is \[0.5, 0.5\], expected 1 number"),
        (put("manifest", "std", to=[float("nan")]), r"std is \[nan\], expected 1 number"),
        (put("config", "model", to="cnn"), "AttributeError"),
        (put("validation", to=3), "TypeError"),
    ],
)
def test_a_description_that_lacks_or_distorts_what_it_must_say_is_refused(
    change: Callable[[dict], None], reason: str, bundle_folder: Path
) -> None:
    rewrite(bundle_folder, change)
    with pytest.raises(DataError, match=rf"bundle.json is not what a bundle of this project holds \(.*{reason}"):
        Bundle.read(bundle_folder)


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", "[" * 100_000, "\udcff"])
def test_a_description_that_is_no_json_is_refused(text: str, bundle_folder: Path) -> None:
    (bundle_folder / "bundle.json").write_text(text, errors="surrogateescape")
    with pytest.raises(DataError, match="bundle.json is not what a bundle of this project holds"):
        Bundle.read(bundle_folder)


def test_a_description_of_gigabytes_is_not_read(bundle_folder: Path) -> None:
    os.truncate(bundle_folder / "bundle.json", 2_000_000_000)  # takes no room on the disk
    with pytest.raises(DataError, match="it has 2.00 GB, more than any description"):
        Bundle.read(bundle_folder)


def test_weights_of_another_network_are_refused_by_name_and_shape(bundle_folder: Path) -> None:
    rewrite(bundle_folder, put("manifest", "classes", to=["a", "b"]))
    with pytest.raises(DataError, match=r"weights.safetensors is not what .* size mismatch for layers.scores.*") as error:
        Bundle.read(bundle_folder)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.slow  # it draws
def test_names_of_classes_and_data_lead_to_no_other_place(
    bundle_folder: Path, prepared: Path, small_config: Config, tmp_path: Path
) -> None:
    rewrite(bundle_folder, put("manifest", "classes", to=["../../out", "/etc/passwd", "x" * 300]))
    rewrite(bundle_folder, put("manifest", "dataset", to="../.."))
    before, reports = set(tmp_path.rglob("*")), tmp_path / "in" / "reports"
    reports.mkdir(parents=True)
    write_report(Bundle.read(bundle_folder), prepared, reports, small_config.evaluate)
    assert {path.parent for path in set(tmp_path.rglob("*")) - before if path.is_file()} == {reports}


def test_a_bundle_that_names_other_code_than_a_network_is_refused(bundle_folder: Path) -> None:
    rewrite(bundle_folder, lambda tree: tree["config"]["model"].update(_target_="os.system"))
    with pytest.raises(ConfigError, match="Nothing was imported"):
        Bundle.read(bundle_folder)


def test_other_images_than_those_of_the_training_are_refused(bundle: Bundle, manifest: Manifest) -> None:
    bundle.require(manifest)
    with pytest.raises(
        DataError,
        match=rf"the network was trained on mnist with data digest {manifest.data_digest[:12]}, "
        "the prepared images are cats with 000000000000; run `dvc repro`, or give the run's own folder as hydra.run.dir",
    ):
        bundle.require(dataclasses.replace(manifest, dataset="cats", data_digest="0" * 64))
    with pytest.raises(DataError, match="the prepared images are mnist with 000000000000"):
        bundle.require(dataclasses.replace(manifest, data_digest="0" * 64))


def test_the_network_is_in_evaluation_mode(bundle: Bundle) -> None:
    assert not any(module.training for module in bundle.network.modules())
    assert not any(module.training for module in bundle.predictor().modules())


def test_a_predictor_turns_pixels_into_probabilities_that_sum_to_1(bundle: Bundle, prepared: Path) -> None:
    images = torch.from_numpy(np.load(prepared / "test.npy"))
    predictor = bundle.predictor()
    with torch.no_grad():
        probabilities = predictor(images)
        torch.testing.assert_close(probabilities, predictor.scores(images).softmax(dim=1))
    assert probabilities.shape == (6, 3)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(6))


def test_a_predictor_normalises_by_the_manifest(bundle: Bundle, manifest: Manifest) -> None:
    predictor = Predictor(torch.nn.Flatten(), manifest, None)
    pixels = torch.full((1, 8, 8, 1), 51, dtype=torch.uint8)
    torch.testing.assert_close(predictor.scores(pixels)[0, 0].item(), (0.2 - manifest.mean[0]) / manifest.std[0], atol=1e-5, rtol=1e-5)


def test_a_network_is_built_for_the_data(small_config: Config, manifest: Manifest) -> None:
    other = dataclasses.replace(manifest, classes=["a", "b", "c", "d"], image_shape=(12, 12, 3))
    assert make_network(small_config.model, other, None)(torch.zeros(2, 3, 12, 12)).shape == (2, 4)


def test_a_history_whose_first_epoch_lacks_a_metric_keeps_the_later_ones(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "gaps").mkdir()
    history = [{"epoch": 1.0}, {"epoch": 2.0, "late": 0.5}]
    write_bundle(tmp_path / "gaps", bundle.network, bundle.manifest, bundle.config, {}, history, None)
    assert Bundle.read(tmp_path / "gaps").history == history


def test_a_bundle_from_before_options_of_networks_were_renamed_is_read(bundle: Bundle, tmp_path: Path) -> None:
    written(bundle, tmp_path / "old")
    rewrite(tmp_path / "old", lambda tree: tree["config"]["model"].update(first_values={"kind": "normal", "std": 0.1}))
    old = Bundle.read(tmp_path / "old")
    assert old.config["model"]["init"] == {"kind": "normal", "std": 0.1}
    assert "first_values" not in old.config["model"]
    assert _renamed({"form": "paper", "units": 8}) == {"variant": "paper", "units": 8}
    assert _renamed({"layers": {"form": {"kind": "relu"}}}) == {"layers": {"form": {"kind": "relu"}}}  # a layer of that name
