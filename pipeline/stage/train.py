"""Stage 4: data/prepared → the bundle, and an MLflow run."""

from typing import TYPE_CHECKING

from pipeline.config.cli import entry
from pipeline.config.paths import WORKSPACE, Places
from pipeline.config.ranks import rank_of, ranks_of, starts_ranks
from pipeline.config.schema import Config

if TYPE_CHECKING:
    from pipeline.training.pruning import Trial


@entry
def main(cfg: Config, places: Places) -> float | None:
    """Train the configured network on the prepared images; write its bundle. Returns training.monitor of the best epoch, for sweeps."""
    if starts_ranks(cfg.training):
        from pipeline.training.launch import launch

        score: float | None = launch(train, cfg, places)
        return score
    return train(cfg, places)


def train(cfg: Config, places: Places, trial: "Trial | None" = None) -> float | None:
    """Train as the only process, or as one rank; ranks other than 0 write nothing and return None.

    trial: of a sweep, which may make do without this training."""
    import time
    from dataclasses import asdict
    from functools import partial

    import torch

    from pipeline.analysis.layer_table import layer_table
    from pipeline.bundle import TRAINED_WITH, debugging, make_network, summary_of, write_bundle
    from pipeline.dataset.manifest import Manifest, doubt, require_current
    from pipeline.dataset.progress import duration
    from pipeline.tracking.events import LAUNCHER, trial_tags
    from pipeline.tracking.run import tracked_training
    from pipeline.training.checkpoints import checkpoints_of, checkpoints_of_rank_0, identity_of, key_of
    from pipeline.training.device import set_up_processor
    from pipeline.training.distributed import NullLogger, require_variance
    from pipeline.training.fit import fit
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
    debug = debugging(asdict(cfg))
    identity = identity_of(cfg, TRAINED_WITH, manifest.data_digest)
    if trial:
        trial.claim(key_of(identity))
    tags = trial.run if trial else {}
    if job := places.job:
        tags = trial_tags(job.sweep, job.sweep_id, job.number, job.varied) | {LAUNCHER: "hydra"}
    if rank_of(cfg.training):
        fit(cfg, network, manifest, prepared, checkpoints_of_rank_0(identity, places.home), NullLogger())
        return None
    with (
        checkpoints_of(identity, places.home, cfg.machine.keep, ranks_of(cfg.training) > 1) as checkpoints,
        tracked_training(cfg, manifest, places.home, training=checkpoints.name, **tags) as run,
    ):
        run.log_layers(cfg.model["name"], summary, cfg.training.batch_size)
        fitted = fit(cfg, network, manifest, prepared, checkpoints, run, trial)
        config = {node: asdict(cfg)[node] for node in TRAINED_WITH}
        folder = places.target("bundle")
        run.tag(bundle=write_bundle(folder, network, manifest, config, fitted.best, fitted.history, fitted.filters, fitted.layer_filters))
        run.log_kept(fitted.best)
        uncertain = "" if debug else doubt(manifest)
        if uncertain:
            run.tag(uncertain=uncertain)
    best = fitted.best
    which = "accuracy on its own training images" if cfg.training.overfit_images else "validation accuracy"
    print(
        f"{which} {best['validation/accuracy']:.4f} after epoch {best['epoch']:.0f} of {len(fitted.history)}, "
        f"in {duration(time.monotonic() - start)}; the network is in {places.show(folder)}"
    )
    if uncertain:
        print(uncertain)
    if debug:
        print(f"debug run ({debug}): its figures compare with no other's, and it is not registered")
    if places.live:
        print(f"what it does on the test images: python -m pipeline.stage.evaluate {places.naming}")
    return best[cfg.training.monitor]


if __name__ == "__main__":
    main()
