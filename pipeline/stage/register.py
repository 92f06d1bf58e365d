"""Stage 7: bundle and reports/ → the MLflow model registry."""

import json
import os
from dataclasses import replace

from pipeline.config.entry import entry
from pipeline.config.places import WORKSPACE, Places
from pipeline.config.schema import Config


@entry
def main(cfg: Config, places: Places) -> None:
    """Register the trained network with signature, input example and class names."""
    import numpy as np

    from pipeline.bundle import Bundle
    from pipeline.tracking.addition import tracked_addition
    from pipeline.tracking.model_name import model_name
    from pipeline.tracking.registry import register
    from pipeline.tracking.store import Store

    bundle = Bundle.read(places.source("bundle"))
    sample = np.load(places.source("prepared") / "validation.npy", mmap_mode="r")[:2]  # (2, H, W, C)
    model = model_name(cfg.tracking.model, bundle.manifest.classes)
    store = Store(replace(cfg.tracking, model=model), places.home)
    with tracked_addition(cfg, bundle, places.home) as run:
        run.log_lock()
        # Stages that DVC took from its run cache have logged nothing.
        if (reports := places.beside("reports", "bundle")).exists():
            with run.lacking("evaluated"):
                run.log_report(reports, bundle.best_epoch)
        if (pictures := places.beside("pictures", "bundle")).exists():
            with run.lacking("explained"):
                run.log_pictures(pictures)
    in_workspace = places.live is None and "DVC_EXP_NAME" not in os.environ
    print(register(store, bundle, sample, may_lead=in_workspace))
    # What DVC misses in a fresh clone, whose store is as fresh: without it the committed dvc.lock would call this done.
    note = {"model": model, "bundle": bundle.digest}
    ((places.live or WORKSPACE) / "registered.json").write_text(json.dumps(note) + "\n")


if __name__ == "__main__":
    main()
