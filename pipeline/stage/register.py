"""Stage 6: bundle → the MLflow model registry."""

import json
import os

from pipeline.config.entry import entry
from pipeline.config.places import WORKSPACE, Places
from pipeline.config.schema import Config


@entry
def main(cfg: Config, places: Places) -> None:
    """Register the trained network with signature, input example and class names."""
    import numpy as np

    from pipeline.bundle import Bundle
    from pipeline.tracking.registry import register
    from pipeline.tracking.store import Store

    bundle = Bundle.read(places.source("bundle"))
    sample = np.load(places.source("prepared") / "validation.npy", mmap_mode="r")[:2]  # (2, H, W, C)
    store = Store(cfg.tracking, places.home)
    in_workspace = places.live is None and "DVC_EXP_NAME" not in os.environ
    print(register(store, bundle, store.run_of(bundle, cfg), sample, may_lead=in_workspace))
    # What DVC misses in a fresh clone, whose store is as fresh: without it the committed dvc.lock would call this done.
    note = {"model": cfg.tracking.model, "bundle": bundle.digest}
    ((places.live or WORKSPACE) / "registered.json").write_text(json.dumps(note) + "\n")


if __name__ == "__main__":
    main()
