"""What a step draws, which is dropout, as a function of (seed, epoch, place of the batch, rank)."""

import numpy as np
import torch


def seeds_of_draws(batches: int, seed: int, epoch: int, rank: int) -> list[int]:
    """Return the seed of what each batch of an epoch draws, which is dropout; all at once, as one by one takes ten times as long."""
    chances = (np.random.SeedSequence([seed, epoch, place, rank]) for place in range(batches))
    return [int(chance.generate_state(1, np.uint64)[0]) for chance in chances]


def seed_draws(device: torch.device, seed: int) -> None:
    """Seed what draws on the processor and on this device; torch.manual_seed asks all devices, which takes 0.1 ms."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
