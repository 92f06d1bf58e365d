"""python -m pipeline.command.export: a program that needs nothing of this project, with the network's answers; or no file."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.bundle import Bundle
from pipeline.command.export import main
from pipeline.config.errors import DataError
from pipeline.dataset.manifest import Manifest
from pipeline.export import DESCRIPTION, difference_on_probe, export, probe_of
from tests.samples import CLASSES


@pytest.fixture(scope="module")
def exported(written_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("exported") / "made" / "net.pt2"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["export", str(written_bundle), "--to", str(target)])
        main()
    return target


def test_any_number_of_images_has_the_network_s_probabilities(exported: Path, bundle: Bundle, prepared: Path) -> None:
    program, images = torch.export.load(exported).module(), torch.from_numpy(np.load(prepared / "test.npy"))
    for batch in (images, images[:1], images.repeat(3, 1, 1, 1)):
        with torch.inference_mode():
            torch.testing.assert_close(program(batch), bundle.predictor()(batch), atol=1e-5, rtol=0)


def test_the_file_is_alone_and_says_its_classes_and_how_a_photo_becomes_its_input(exported: Path, bundle: Bundle) -> None:
    assert [path.name for path in exported.parent.iterdir()] == ["net.pt2"]
    files = {DESCRIPTION: ""}
    torch.export.load(exported, extra_files=files)
    described = json.loads(files[DESCRIPTION])
    assert described["classes"] == CLASSES
    assert described["input"] == {"type": "uint8", "shape": ["batch", 8, 8, 1], "resize": "stretch"}
    assert described["decode"] == bundle.manifest.made_from["decode"]
    assert described["bundle"] == bundle.digest


@pytest.mark.slow  # a process that imports torch anew
def test_it_runs_where_this_project_is_not(exported: Path, bundle: Bundle, tmp_path: Path) -> None:
    alone = (
        "import sys, torch; program = torch.export.load(sys.argv[1]).module(); "
        "print(program(torch.zeros(1, 8, 8, 1, dtype=torch.uint8))[0].tolist(), 'pipeline' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", alone, exported], cwd=tmp_path, capture_output=True, text=True, check=True)
    with torch.inference_mode():
        [expected] = bundle.predictor()(torch.zeros(1, 8, 8, 1, dtype=torch.uint8)).tolist()
    probabilities, _, is_there = done.stdout.strip().rpartition(" ")
    assert json.loads(probabilities) == pytest.approx(expected, abs=1e-5)
    assert is_there == "False"


def test_another_network_s_program_is_found_out(exported: Path, bundle: Bundle) -> None:
    assert difference_on_probe(bundle, exported) <= 1e-5
    with torch.no_grad():
        list(bundle.network.parameters())[-1][0] += 0.01
    assert difference_on_probe(bundle, exported) > 1e-4


def test_a_program_that_answers_otherwise_is_not_written(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "net.pt2").write_bytes(b"before")
    monkeypatch.setattr("pipeline.export.TOLERANCE", -1.0)
    with pytest.raises(DataError, match=r"differ from the network's by up to .*, expected at most -1.0; .*net.pt2 was not written"):
        export(bundle, tmp_path / "net.pt2")
    assert [(path.name, path.read_bytes()) for path in tmp_path.glob("*.pt2")] == [("net.pt2", b"before")]
    assert not list(tmp_path.glob(".export-*"))


def test_a_network_whose_probabilities_are_no_numbers_is_not_written(bundle: Bundle, tmp_path: Path) -> None:
    with torch.no_grad():
        next(bundle.network.parameters()).fill_(float("nan"))
    with pytest.raises(DataError, match=r"by up to nan, expected at most 1e-05"):
        export(bundle, tmp_path / "net.pt2")


def test_the_probe_has_all_shades_and_is_the_same_each_time(manifest: Manifest) -> None:
    probe = probe_of(manifest)
    assert probe.shape == (4, 8, 8, 1)
    assert probe[0, 0, :4, 0].tolist() == [0, 158, 60, 218]
    assert len(probe.unique()) > 128


def test_a_file_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["export", "--to", "net.onnx"])
    with pytest.raises(SystemExit):
        main()
    assert "--to: 'net.onnx' does not end in .pt2" in capsys.readouterr().err
