"""data/raw → data/prepared: every image decoded and resized, twins found, split, packed, counted.

Images pass through in chunks, so memory holds a chunk per process, and of each image its path, its record and its twins."""

import hashlib
from pathlib import Path

import numpy as np

from pipeline.config.counted import counted
from pipeline.config.errors import DataError
from pipeline.config.schema import Config, Resize
from pipeline.dataset.audit import NONE
from pipeline.dataset.chunks import Chunk, Settings, chunks, records_of
from pipeline.dataset.enough import require_images
from pipeline.dataset.image_table import write_tables
from pipeline.dataset.manifest import SPLITS, Manifest, made_from
from pipeline.dataset.names import shown
from pipeline.dataset.pack import Pack
from pipeline.dataset.passport import stray, write_passport
from pipeline.dataset.placement import Placement, place
from pipeline.dataset.readers import NO_CLASS, read


def resize(cfg: Config, raw: Path, prepared: Path, page: Path, scratch: Path) -> Manifest:
    """Write the packed splits, images.csv, twins.csv and manifest; return the manifest.

    page: the data's passport, an HTML file. scratch: where finished chunks outlive a kill.
    Raises DataError for a class of too few images, a class missing from a split, or too many files that can't be used."""
    items = read(raw, cfg.dataset)
    classes = cfg.dataset.classes or sorted({item.label for item in items} - {NO_CLASS})
    with chunks(items, Settings.of(cfg), scratch, cfg.machine.keep) as files:
        placement = place(items, *records_of(files, len(items)), cfg)
        write_tables(prepared, placement)  # before any refusal, for which they give the reasons
        if placement.stray:
            print(stray(placement), flush=True)
        refuse_bad(placement, cfg.resize)
        counts = count(placement, classes)
        require_images(placement, counts, cfg.dataset.split)
        packs = pack(files, placement, classes, prepared, cfg)
    digest = hashlib.sha256("\0".join(classes).encode(errors="surrogatepass"))
    for written in packs:
        digest.update(written.close())
    mean, std = packs[0].statistics()
    manifest = Manifest(
        dataset=cfg.dataset.name,
        classes=classes,
        image_shape=packs[0].shape,
        method=cfg.resize.method,
        mean=mean,
        std=std,
        counts=counts,
        refused=len(placement.refused),
        left_out=len(placement.left_out),
        data_digest=digest.hexdigest(),
        made_from=made_from(cfg),
    )
    manifest.write(prepared)
    write_passport(page, cfg, manifest, placement, prepared)
    return manifest


def refuse_bad(placement: Placement, resize: Resize) -> None:
    """Raise DataError where more files can't be used than the config lets pass; the first is named."""
    refused, total = placement.refused, len(placement.items)
    limit = 0 if resize.on_bad == "stop" else resize.max_refused
    if total and len(refused) / total > limit:
        first = f"{shown(placement.items[refused[0]].path)}: {placement.reason(refused[0])}"
        allowed = "resize.on_bad=stop" if resize.on_bad == "stop" else f"resize.max_refused={resize.max_refused}"
        raise DataError(
            f"{len(refused):,} of {counted(total, 'file')} can't be used, more than {allowed} allows; the first is {first}. "
            f"Remove them, or {'choose resize.on_bad=skip' if resize.on_bad == 'stop' else 'raise resize.max_refused'}"
        )


def count(placement: Placement, classes: list[str]) -> dict[str, dict[str, int]]:
    """Return split → class → images."""
    counts = {split: dict.fromkeys(classes, 0) for split in SPLITS}
    for item, split in zip(placement.items, placement.splits, strict=True):
        if split != NONE:
            counts[SPLITS[split]][item.label] += 1
    return counts


def pack(files: list[Path], placement: Placement, classes: list[str], prepared: Path, cfg: Config) -> list[Pack]:
    """Write the images of every split, in the items' order."""
    packs = [Pack(prepared, split, cfg.resize.size, cfg.dataset.channels) for split in SPLITS]
    label_of = {name: label for label, name in enumerate(classes)}
    labels = np.array([label_of.get(item.label, NONE) for item in placement.items])
    start = 0
    for path in files:
        chunk = Chunk.read(path)
        used = start + np.flatnonzero(chunk.records["used"])
        for number, written in enumerate(packs):
            here = placement.splits[used] == number
            written.append(chunk.pixels[here], labels[used[here]])
        start += len(chunk.records)
    return packs
