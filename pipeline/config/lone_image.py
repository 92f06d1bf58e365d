"""What is said where a network would have to learn from one image at a time and can't."""

from pipeline.config.errors import ConfigError
from pipeline.config.ranks import ranks_of
from pipeline.config.schema import Training


def lone_image(layer: str, side: int, training: Training, where: str) -> ConfigError:
    """Return the refusal of a training in which `layer`, a batch norm, gets a single value of each channel.

    side: pixels of the images, which shrink to one. where: what has one image."""
    ranks = ranks_of(training)
    key = "training.accumulate" if training.accumulate > 1 else "training.devices" if ranks > 1 else "training.batch_size"
    ways = [f"training.batch_size={max(4 * training.accumulate * ranks, training.batch_size + 2 * ranks)}"]
    ways += ["training.accumulate=1"] * (training.accumulate > 1) + ["fewer devices"] * (ranks > 1)
    return ConfigError(
        f"{layer}: batch norm needs two values of each channel or more, but images of {side}x{side} pixels have become maps of 1x1, and "
        f"{where} has one image (training.batch_size={training.batch_size}, accumulate={training.accumulate}, devices={ranks}). "
        f"Choose {' or '.join(ways)}, or larger images",
        key,
    )
