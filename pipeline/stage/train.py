"""Stage 4: data/prepared → the bundle, and an MLflow run."""

from pipeline.config.entry import entry
from pipeline.config.places import WORKSPACE, Places
from pipeline.config.rank import rank_of, ranks_of
from pipeline.config.schema import Config


@entry
def main(cfg: Config, places: Places) -> float | None:
    """Train the configured network on the prepared images; write its bundle. Its training.monitor is what a sweep looks at."""
    import time
    from dataclasses import asdict
    from functools import partial

    import torch

    from pipeline.analysis.layer_table import layer_table
    from pipeline.bundle import TRAINED_WITH, make_network, write_bundle
    from pipeline.dataset.choice import doubt
    from pipeline.dataset.current import require_current
    from pipeline.dataset.manifest import Manifest
    from pipeline.tracking.run import tracked_training
    from pipeline.training.callbacks import duration
    from pipeline.training.checkpoints import checkpoints_of, checkpoints_of_rank_0
    from pipeline.training.fit import fit
    from pipeline.training.identity import identity_of
    from pipeline.training.processor import set_up_processor
    from pipeline.training.ranks import Silent
    from pipeline.training.summary import summary_of
    from pipeline.training.variance import require_variance
    from pipeline.weights.start import start_from_weights

    start = time.monotonic()
    prepared = places.source("prepared")
    manifest = Manifest.read(prepared)
    manifest.require(cfg, places.typed)
    if places.live and cfg.dataset.sources.folder:
        require_current(WORKSPACE / cfg.dataset.sources.folder, prepared)
    set_up_processor(cfg.training.threads)
    torch.manual_seed(cfg.seed)
    make, side = partial(make_network, cfg.model, manifest), cfg.training.input or manifest.size
    network = make(side)
    for line in start_from_weights(cfg, network, manifest.classes, places.home):
        print(line)
    require_variance(network, manifest, cfg.training)
    summary = summary_of(network, make, cfg.optimizer, manifest.channels, side)
    print(layer_table(summary, cfg.training.batch_size), flush=True)
    identity = identity_of(cfg, TRAINED_WITH, manifest.data_digest)
    if rank_of(cfg.training):
        fit(cfg, network, manifest, prepared, checkpoints_of_rank_0(identity, places.home), Silent())
        return None
    with (
        checkpoints_of(identity, places.home, cfg.machine.keep, ranks_of(cfg.training) > 1) as checkpoints,
        tracked_training(cfg, manifest, places.home, checkpoints.name) as run,
    ):
        run.log_layers(cfg.model["name"], summary, cfg.training.batch_size)
        fitted = fit(cfg, network, manifest, prepared, checkpoints, run)
        config = {node: asdict(cfg)[node] for node in TRAINED_WITH}
        folder = places.target("bundle")
        run.tag(bundle=write_bundle(folder, network, manifest, config, fitted.best, fitted.history, fitted.filters))
        run.log_kept(fitted.best)
        uncertain = doubt(manifest)
        if uncertain:
            run.tag(uncertain=uncertain)
    best = fitted.best
    print(
        f"validation accuracy {best['validation/accuracy']:.4f} after epoch {best['epoch']:.0f} of {len(fitted.history)}, "
        f"in {duration(time.monotonic() - start)}; the network is in {places.show(folder)}"
    )
    if uncertain:
        print(uncertain)
    if places.live:
        print(f"what it does on the test images: python -m pipeline.stage.evaluate {places.naming}")
    return best[cfg.training.monitor]


if __name__ == "__main__":
    main()
