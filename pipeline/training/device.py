"""The kind of device that a training computes on: on another kind, equal work gives other bits."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import torch

# Of x86, beside what torch's own kernels choose by: by these oneDNN and MKL choose theirs.
EXTENSIONS = ("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16")

# They make torch, oneDNN, MKL or CUDA choose other kernels, or round otherwise, than the device would have them.
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
    """Return the GPU's name, or the processor's vendor and instruction set; and the variables that overrule it."""
    accelerator = torch.accelerator.current_accelerator()
    name = torch.cuda.get_device_name() if accelerator and accelerator.type == "cuda" else _processor()
    return " ".join([name, *(f"{variable}={os.environ[variable]}" for variable in VARIABLES if os.environ.get(variable))])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    vendor, extensions = described(info.read_text()) if info.exists() else ("", [])
    return " ".join([vendor or _named_by_system(), torch.backends.cpu.get_cpu_capability(), *extensions])


def described(cpuinfo: str) -> tuple[str, list[str]]:
    """Return vendor and further extensions as Linux tells them of its first processor, of ARM's the maker and part."""
    found = dict(reversed(re.findall(r"^([\w ]+?)\s*: (.*)$", cpuinfo, re.MULTILINE)))  # the first processor comes last, and stays
    arm = " ".join(found[name] for name in ("CPU implementer", "CPU part") if name in found)
    return found.get("vendor_id", arm and f"ARM {arm}"), sorted(set(EXTENSIONS) & set(found.get("flags", "").split()))


def _named_by_system() -> str:
    if sys.platform == "darwin":
        return subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], check=True, capture_output=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()
