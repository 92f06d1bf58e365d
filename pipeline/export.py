"""Export a trained network with its preprocessing for other runtimes, as a program of torch.export."""

import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.bundle import Bundle
from pipeline.config.errors import DataError
from pipeline.dataset.manifest import Manifest

DESCRIPTION = "description.json"  # beside the program in the file
TOLERANCE = 1e-5  # between probabilities of the network and of the exported program, which may round in another order
PROBE = 4  # images; fewer than 2 would fix the size of a batch
STRIDE = 2_654_435_761  # Knuth's multiplicative hash: pixels without a pattern, the same in each version of any library


def probe_of(manifest: Manifest) -> Tensor:
    """Return some images that look like noise, (PROBE, H, W, C) of uint8, on which a network and its copy are compared."""
    height, width, channels = manifest.image_shape
    numbers = torch.arange(PROBE * height * width * channels, dtype=torch.int64)
    return (numbers * STRIDE % 2**32 // 2**24).to(torch.uint8).reshape(PROBE, height, width, channels)


def export(bundle: Bundle, target: Path) -> float:
    """Write the network as (B, H, W, C) pixels of uint8 → (B, classes) probabilities; return the largest difference on the probe.

    The file is read back and its answers are compared with the network's before it gets its name. Raises DataError if they differ by more
    than TOLERANCE, and leaves what was there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within torch.export
        written = Path(scratch) / target.name
        batch = {"images": {0: torch.export.Dim("batch")}}
        program = torch.export.export(bundle.predictor(), (probe_of(bundle.manifest),), dynamic_shapes=batch)
        torch.export.save(program, written, extra_files={DESCRIPTION: json.dumps(description(bundle), indent=2)})
        difference = difference_on_probe(bundle, written)
        if not difference <= TOLERANCE:  # nor if it is NaN
            raise DataError(
                f"the exported program's probabilities differ from the network's by up to {difference:.1e}, expected at most {TOLERANCE}; "
                f"{target} was not written"
            )
        written.replace(target)
    return difference


def difference_on_probe(bundle: Bundle, program: Path) -> float:
    """Return how far the probabilities of an exported program are from the network's, on the probe and on its first image alone."""
    exported, predictor, probe = torch.export.load(program).module(), bundle.predictor(), probe_of(bundle.manifest)
    with torch.inference_mode():
        return max(float((exported(images) - predictor(images)).abs().max()) for images in (probe, probe[:1]))


def description(bundle: Bundle) -> dict[str, Any]:
    """Return what a program needs to know that runs the file: classes in order, and how a photo becomes its input."""
    manifest = bundle.manifest
    return {
        "bundle": bundle.digest,
        "classes": manifest.classes,
        "input": {"type": "uint8", "shape": ["batch", *manifest.image_shape], "resize": manifest.method},
        "decode": manifest.made_from.get("decode"),
        "output": {"type": "float32", "shape": ["batch", len(manifest.classes)], "is": "probabilities"},
    }
