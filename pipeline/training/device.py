"""The device that a training computes on: its kind, which decides the bits, and a processor's threads and memory."""

import ctypes
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

# Extensions of x86 by which oneDNN and MKL choose kernels, beyond those that torch reports.
EXTENSIONS = ("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16")

# Environment variables that make torch, oneDNN, MKL or CUDA choose other kernels or round differently.
VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)


def kind_of_device() -> str:
    """Return the GPU's name, or the CPU's vendor and instruction set, with the environment variables that override its kernels."""
    accelerator = torch.accelerator.current_accelerator()
    name = torch.cuda.get_device_name() if accelerator and accelerator.type == "cuda" else _processor()
    return " ".join([name, *(f"{variable}={os.environ[variable]}" for variable in VARIABLES if os.environ.get(variable))])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    vendor, extensions = described(info.read_text()) if info.exists() else ("", [])
    return " ".join([vendor or _named_by_system(), torch.backends.cpu.get_cpu_capability(), *extensions])


def described(cpuinfo: str) -> tuple[str, list[str]]:
    """Return vendor (of ARM: implementer and part) and EXTENSIONS of the first processor in /proc/cpuinfo."""
    found = dict(reversed(re.findall(r"^([\w ]+?)\s*: (.*)$", cpuinfo, re.MULTILINE)))  # the first processor comes last, and stays
    arm = " ".join(found[name] for name in ("CPU implementer", "CPU part") if name in found)
    return found.get("vendor_id", arm and f"ARM {arm}"), sorted(set(EXTENSIONS) & set(found.get("flags", "").split()))


def _named_by_system() -> str:
    if sys.platform == "darwin":
        return subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], check=True, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h
LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
NEVER = 2**31 - 1  # bytes; the largest trim threshold that mallopt takes


def set_up_processor(threads: int) -> None:
    """Set the number of CPU threads, and keep glibc's malloc from returning freed memory to the system.

    Otherwise activations are unmapped after each step and mapped again, zeroed, in the next: LeNet's steps take a tenth to a third
    longer, airbench94's about a tenth, ResNet-20's a twentieth. The cost is a larger resident set: 2 GiB instead of 1.35 for
    VGG-11 at 64 pixels."""
    torch.set_num_threads(threads)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, NEVER)


def to_memory_format(network: nn.Module, layout: str) -> nn.Module:
    """Convert the network in place to a memory layout, channels_last or contiguous, and return it."""
    changed: nn.Module = network.to(memory_format=LAYOUTS[layout])  # type: ignore[call-overload]  # torch's own types lack it
    return changed
