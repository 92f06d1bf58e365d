"""Find a learning rate by a range test: python -m pipeline.command.find_rate model=vgg16 optimizer=sgd …

Takes the overrides of a training, and trains on the prepared images for some 200 steps with a rising rate. The curve is written to
rates.png in the run's folder and logged to MLflow, in an experiment of its own."""

from typing import TYPE_CHECKING

from pipeline.config.cli import entry
from pipeline.config.paths import Places
from pipeline.config.schema import Config
from pipeline.config.wording import counted

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.analysis.lr_curve import RateCurve
    from pipeline.dataset.manifest import Manifest

EXPERIMENT = "rate-tests"  # suffix of the MLflow experiment, which keeps them out of the tables of trainings


@entry
def main(cfg: Config, places: Places) -> None:
    """Train with a rising learning rate until the loss diverges; print and plot which rates to train with."""
    import torch

    from pipeline.analysis.figures.rates import rate_figure
    from pipeline.bundle import make_network
    from pipeline.dataset.manifest import Manifest
    from pipeline.training.device import set_up_processor
    from pipeline.training.lr_finder import rate_test
    from pipeline.weights.start import start_from_weights

    prepared = places.source("prepared")
    manifest = Manifest.read(prepared)
    manifest.require(cfg, places.typed)
    set_up_processor(cfg.training.threads)
    torch.manual_seed(cfg.seed)
    network = make_network(cfg.model, manifest, cfg.training.input)
    for line in start_from_weights(cfg, network, manifest.classes, places.home):
        print(line)
    curve = rate_test(cfg, network, manifest, prepared)
    print(advice(curve))
    picture = (places.live or prepared) / "rates.png"
    title = f"{cfg.model['name']} on {manifest.dataset}: {cfg.optimizer['name']}, batches of {cfg.training.batch_size}, seed {cfg.seed}"
    rate_figure(picture, title, curve)
    print(f"the loss over the rate: {places.show(picture)}")
    log(cfg, manifest, curve, picture, places.home)


def advice(curve: "RateCurve") -> str:
    """Return the suggested rates as overrides to type, one per line."""
    ended = f"{counted(len(curve.losses), 'step')}, from {curve.rates[0]:.0e} to {curve.rates[len(curve.losses) - 1]:.2g}"
    if not curve.suggested:
        return f"{ended}: the loss did not fall at any learning rate, so there is none to suggest"
    return "\n".join([ended, *(f"optimizer.lr={rate:.2g}  {why}" for why, rate in curve.suggested.items())])


def log(cfg: Config, manifest: "Manifest", curve: "RateCurve", picture: "Path", home: "Path") -> None:
    """Log the curve to MLflow; an unreachable store is no error."""
    from dataclasses import asdict

    from pipeline.tracking.events import PICTURES
    from pipeline.tracking.resume import logged_run

    config = asdict(cfg)
    config["tracking"]["experiment"] += f"-{EXPERIMENT}"
    with logged_run(config, manifest, home, kind="rate test") as run:
        for step, (rate, loss, smooth) in enumerate(zip(curve.rates, curve.losses, curve.smooth, strict=False)):
            run.log_metrics({"loss": float(loss), "loss_averaged": float(smooth), "learning_rate": float(rate)}, step)
        run.log_image(f"{PICTURES}/rates", picture, step=0)


if __name__ == "__main__":
    main()
