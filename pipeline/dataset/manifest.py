"""CONTRACT 1: what data/prepared holds, as a frozen dataclass ⇄ manifest.json."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.config.errors import DataError
from pipeline.config.schema import Config

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Manifest:
    dataset: str  # its name
    classes: list[str]  # index = label
    image_shape: tuple[int, int, int]  # height, width, channels
    method: str  # how images came to that size
    mean: list[float]  # of the train split, per channel, in [0, 1]
    std: list[float]  # likewise
    counts: dict[str, dict[str, int]]  # split -> class -> images
    refused: int  # files that could not be used; images.csv gives each one's reason
    left_out: int  # twins of images of a later split, likewise
    data_digest: str  # sha256 over pixels, labels and classes of all splits
    made_from: dict[str, Any]  # the config nodes that decide the above

    @property
    def channels(self) -> int:
        return self.image_shape[2]

    @property
    def size(self) -> int:
        """Height = width, in pixels."""
        return self.image_shape[0]

    def images(self, split: str) -> int:
        return sum(self.counts[split].values())

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: dict[str, Any]) -> "Manifest":
        return cls(**{**tree, "image_shape": tuple(tree["image_shape"])})

    def write(self, prepared: Path) -> None:
        (prepared / "manifest.json").write_text(json.dumps(self.to_dict(), indent=2) + "\n")

    @classmethod
    def read(cls, prepared: Path) -> "Manifest":
        """Raises DataError when there are no prepared images."""
        path = prepared / "manifest.json"
        if not path.exists():
            raise DataError(f"there are no prepared images in {prepared}; make them with `dvc repro resize`")
        return cls.from_dict(json.loads(path.read_text()))

    def require(self, cfg: Config, typed: Sequence[str] = ()) -> None:
        """Refuse a config that asks for other images than these, with the command that makes them.

        typed: the overrides by which a person asked; conf/ has the rest, which both commands compose anew."""
        wanted, found = dict(_flat(made_from(cfg))), dict(_flat(self.made_from))
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
    """Return the config nodes that decide the prepared images; where files come from does not."""
    dataset = asdict(cfg.dataset)
    del dataset["sources"]["mirrors"]
    for file in dataset["sources"]["files"].values():
        del file["url"], file["bytes"]
    return {"dataset": dataset, "decode": asdict(cfg.decode), "resize": asdict(cfg.resize)}


def _flat(tree: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs = []
    for key, value in tree.items():
        pairs += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [(f"{prefix}{key}", value)]
    return pairs
