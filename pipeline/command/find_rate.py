"""Which learning rate to train with: python -m pipeline.command.find_rate model=vgg16 optimizer=sgd …

Takes every override that a training takes, and trains on the prepared images for some 200 steps, each with a higher rate. The
run's folder gets the curve as a figure, rates.png; MLflow gets it too, in an experiment of its own beside the trainings'."""

from typing import TYPE_CHECKING

from pipeline.config.counted import counted
from pipeline.config.entry import entry
from pipeline.config.places import Places
from pipeline.config.schema import Config

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.analysis.rate_curve import RateCurve
    from pipeline.dataset.manifest import Manifest

EXPERIMENT = "rate-tests"  # ends the name of the MLflow experiment, so that no table of trainings has them


@entry
def main(cfg: Config, places: Places) -> None:
    """Train with rising learning rates until the loss comes apart; print and draw which rates to train with."""
    import torch

    from pipeline.analysis.figures.rates import rate_figure
    from pipeline.bundle import make_network
    from pipeline.dataset.manifest import Manifest
    from pipeline.training.processor import set_up_processor
    from pipeline.training.rate_test import rate_test
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
    tell(cfg, manifest, curve, picture, places.home)


def advice(curve: "RateCurve") -> str:
    """Return the suggested rates with the words to type, a line each."""
    ended = f"{counted(len(curve.losses), 'step')}, from {curve.rates[0]:.0e} to {curve.rates[len(curve.losses) - 1]:.2g}"
    if not curve.suggested:
        return f"{ended}: the loss did not fall at any learning rate, so there is none to suggest"
    return "\n".join([ended, *(f"optimizer.lr={rate:.2g}  {why}" for why, rate in curve.suggested.items())])


def tell(cfg: Config, manifest: "Manifest", curve: "RateCurve", picture: "Path", home: "Path") -> None:
    """Tell MLflow the curve; a store that is away is no error."""
    import sys
    from dataclasses import asdict

    from pipeline.tracking.delivery import settle
    from pipeline.tracking.journal import Journal
    from pipeline.tracking.run import PICTURES, Run, begin

    config = asdict(cfg)
    config["tracking"]["experiment"] += f"-{EXPERIMENT}"
    run = Run(Journal(home))
    try:
        begin(run, config, manifest, kind="rate test")
        for step, (rate, loss, smooth) in enumerate(zip(curve.rates, curve.losses, curve.smooth, strict=False)):
            run.log_metrics({"loss": float(loss), "loss_averaged": float(smooth), "learning_rate": float(rate)}, step)
        run.log_image(f"{PICTURES}/rates", picture, step=0)
    finally:
        run.end("FINISHED")
        run.journal.close()
    for note in settle(home):
        print(note, file=sys.stderr)


if __name__ == "__main__":
    main()
