"""Stage 7: bundle and reports/ → the MLflow model registry."""

import json
import os
from dataclasses import replace

from pipeline.config.cli import entry
from pipeline.config.paths import WORKSPACE, Places
from pipeline.config.schema import Config


@entry
def main(cfg: Config, places: Places) -> None:
    """Register the trained network with signature, input example and class names."""
    import numpy as np

    from pipeline.bundle import Bundle, debugging
    from pipeline.tracking.model_versions import model_name
    from pipeline.tracking.registry import register
    from pipeline.tracking.resume import resumed_run
    from pipeline.tracking.store import Store

    bundle = Bundle.read(places.source("bundle"))
    sample = np.load(places.source("prepared") / "validation.npy", mmap_mode="r")[:2]  # (2, H, W, C)
    model = model_name(cfg.tracking.model, bundle.manifest.classes)
    store = Store(replace(cfg.tracking, model=model), places.home)
    with resumed_run(cfg, bundle, places.home) as run:
        run.log_lock()
        # Stages restored from DVC's run cache have logged nothing.
        if (reports := places.beside("reports", "bundle")).exists():
            with run.unless_tagged("evaluated"):
                run.log_report(reports, bundle.best_epoch)
        if (pictures := places.beside("pictures", "bundle")).exists():
            with run.unless_tagged("explained"):
                run.log_pictures(pictures, places.beside("film", "bundle"))
    in_workspace = places.live is None and "DVC_EXP_NAME" not in os.environ
    if debug := debugging(bundle.config):
        print(f"not registered, as it is of a debug run ({debug})")
    else:
        print(register(store, bundle, sample, may_lead=in_workspace))
    # Missing in a fresh clone, whose store is empty: without this out the committed dvc.lock would call the stage done.
    note = {"model": model, "bundle": bundle.digest}
    ((places.live or WORKSPACE) / "registered.json").write_text(json.dumps(note) + "\n")


if __name__ == "__main__":
    main()
