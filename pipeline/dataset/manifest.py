"""CONTRACT 1: what data/prepared holds, as a frozen dataclass ⇄ manifest.json."""

import csv
import json
import math
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.config.errors import DataError
from pipeline.config.schema import Config
from pipeline.config.tree import leaves
from pipeline.config.wording import counted
from pipeline.dataset.files import Refused, digest, visible_files

ACCURACY = 0.9  # of a network that has learnt something, at which the uncertainty is given
LEVEL = 1.96  # standard deviations: 95 % of a normal distribution
FOLDS = 5  # usual in cross-validation: each training keeps four fifths of the images


@dataclass(frozen=True)
class Manifest:
    """The contents of data/prepared, written beside them and carried in every bundle."""

    dataset: str  # its name
    classes: list[str]  # index = label
    image_shape: tuple[int, int, int]  # height, width, channels
    method: str  # resize.method
    mean: list[float]  # of the train split, per channel, in [0, 1]
    std: list[float]  # likewise
    counts: dict[str, dict[str, int]]  # split → class → images
    refused: int  # unusable files; images.csv gives the reasons
    left_out: int  # near-duplicates of images in a later split
    data_digest: str  # sha256 of pixels, labels and classes of all splits
    made_from: dict[str, Any]  # the config nodes that determine the above

    @property
    def channels(self) -> int:
        """1 (gray) or 3."""
        return self.image_shape[2]

    @property
    def size(self) -> int:
        """Height = width, in pixels."""
        return self.image_shape[0]

    def images(self, split: str) -> int:
        """Return the number of images in a split."""
        return sum(self.counts[split].values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Manifest":
        """Inverse of to_dict. Raises TypeError for missing or unknown keys."""
        return cls(**{**tree, "image_shape": tuple(tree["image_shape"])})

    def write(self, prepared: Path) -> None:
        """Write manifest.json."""
        (prepared / "manifest.json").write_text(json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def read(cls, prepared: Path) -> "Manifest":
        """Read manifest.json. Raises DataError if there are no prepared images."""
        path = prepared / "manifest.json"
        if not path.exists():
            raise DataError(f"there are no prepared images in {prepared}; make them with `dvc repro resize`")
        return cls.from_dict(json.loads(path.read_text()))

    def require(self, cfg: Config, typed: Sequence[str] = ()) -> None:
        """Raise DataError, with the command that prepares them, if a config asks for other images.

        typed: the overrides on the command line; both suggested commands compose the rest from conf/."""
        wanted, found = dict(leaves(made_from(cfg))), dict(leaves(self.made_from))
        for key in sorted(wanted.keys() | found.keys(), key=lambda key: (key != "dataset.name", key)):
            if wanted.get(key) != found.get(key):
                in_project = shlex.join(["dvc", "exp", "run", *(word for override in typed for word in ("-S", override))])
                live = shlex.join(["python", "-m", "pipeline.stage.fetch", *typed, "hydra.run.dir=runs/NAME"])
                raise DataError(
                    f"the prepared images were made with {key}={found.get(key)}, this config asks for {wanted.get(key)}. "
                    f"Make them in the project with `{in_project}`, or for a live run with `{live}`, "
                    "then stage.resize and this stage likewise"
                )


def made_from(cfg: Config) -> dict[str, Any]:
    """Return the config nodes that determine the prepared images: where files are fetched from does not."""
    dataset = asdict(cfg.dataset)
    del dataset["sources"]["mirrors"]
    for file in dataset["sources"]["files"].values():
        del file["url"], file["bytes"]
    return {"dataset": dataset, "decode": asdict(cfg.decode), "resize": asdict(cfg.resize)}


def doubt(manifest: Manifest) -> str | None:
    """Return a warning if selecting the best epoch on so few validation images is a matter of chance, and what helps.

    None from resize.few_validation images on."""
    images = manifest.images("validation")
    if images >= manifest.made_from["resize"]["few_validation"]:
        return None
    points = 100 * LEVEL * math.sqrt(ACCURACY * (1 - ACCURACY) / images)
    return (
        f"only {counted(images, 'validation image chooses', 'validation images choose')} the epoch: an accuracy of {ACCURACY} "
        f"on {'it' if images == 1 else 'them'} is known to about {points:.0f} points, "
        f"and epochs that are closer differ by chance{_cross_validation(manifest)}"
    )


def _cross_validation(manifest: Manifest) -> str:
    dataset = manifest.made_from["dataset"]
    if "validation" in (dataset["splits"] or {}) or dataset["split"]["folds"]:
        return ""
    # A manifest does not know what the table says.
    start = "Unless the table names validation images itself, with" if "split" in (dataset["columns"] or {}) else "With"
    smallest = min(sum(of_class[name] for part, of_class in manifest.counts.items() if part != "test") for name in manifest.classes)
    folds = min(FOLDS, smallest)
    return (
        f". {start} dataset.split.folds={folds}, one training for each dataset.split.fold from 0 to {folds - 1}, every image outside "
        "test is validated once"
    )


def require_current(folder: Path, prepared: Path) -> None:
    """Raise DataError if photos of `folder` were added, changed or removed since `prepared` was made from it.

    For live runs; in the pipeline DVC checks that."""
    with (prepared / "images.csv").open(newline="", encoding="utf-8") as stream:
        listed = {row["path"]: row["sha256"] for row in csv.DictReader(stream)}
    found = {_as_listed(path.relative_to(folder)): path for path in visible_files(folder)}
    added, removed = found.keys() - listed.keys(), listed.keys() - found.keys()
    made = (prepared / "manifest.json").stat().st_mtime
    touched = [name for name in found.keys() & listed.keys() if last_change(found[name]) > made]
    changed = [name for name in touched if _listed_digest(found[name]) != listed[name]]
    if added or removed or changed:
        raise DataError(
            f"the photos have changed since they were prepared: {len(added)} added, {len(changed)} changed, {len(removed)} removed. "
            "Prepare them anew with `dvc repro resize`, then repeat"
        )


def _as_listed(path: Path) -> str:
    """Return a path as images.csv has it: bytes that are not UTF-8 are escaped."""
    return str(path).encode(errors="backslashreplace").decode()


def _listed_digest(path: Path) -> str:
    """Return a photo's sha256 as images.csv has it: empty for an unreadable one."""
    with suppress(Refused):
        return digest(path)
    return ""


def last_change(path: Path) -> float:
    """Return when the content or the name last changed, in seconds since the epoch: a restored file keeps its mtime, not its ctime."""
    try:
        status = path.stat()
    except OSError:  # a broken link
        status = path.lstat()
    return max(status.st_mtime, status.st_ctime)
