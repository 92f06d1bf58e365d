"""How a processor computes: its threads, how filters lie in memory, and what becomes of memory that a step no longer needs."""

import ctypes

import torch
from torch import nn

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
NEVER = 2**31 - 1  # bytes free at the heap's end before they are given back; the most that mallopt takes


def set_up_processor(threads: int) -> None:
    """Compute on so many threads, and keep freed memory for the next step.

    glibc's malloc else gives activations back to the system, which hands them out anew in the next step, filled with zeros: by that
    LeNet's steps took a tenth to a third longer, airbench94's about a tenth, ResNet-20's a twentieth. In return the process holds
    what it once needed, some of it in pieces: VGG-11 at 64 pixels 2 GiB instead of 1.35."""
    torch.set_num_threads(threads)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, NEVER)


def laid_out(network: nn.Module, layout: str) -> nn.Module:
    """Return the network itself, its filters in memory as training.layout says."""
    changed: nn.Module = network.to(memory_format=LAYOUTS[layout])  # type: ignore[call-overload]  # torch's own types lack it
    return changed
