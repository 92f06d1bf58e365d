"""A device is told by what its bits depend on: vendor and instruction set, and the variables that overrule them."""

import subprocess
import sys

import pytest
import torch

from pipeline.training.device import VARIABLES, described, kind_of_device
from tests.project import ROOT, environment

INTEL = """\
processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Processor
flags\t\t: fpu avx2 avx512f amx_bf16 avx512_vnni
bogomips\t: 5200.00

processor\t: 1
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Processor
flags\t\t: fpu avx2
"""
ARM = """\
processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd evtstrm
CPU implementer\t: 0x41
CPU part\t: 0xd0c
"""


@pytest.mark.parametrize(
    ("cpuinfo", "told"),
    [
        (INTEL, ("GenuineIntel", ["amx_bf16", "avx512_vnni"])),
        (INTEL.replace("GenuineIntel", "AuthenticAMD").replace(" amx_bf16", ""), ("AuthenticAMD", ["avx512_vnni"])),
        (ARM, ("ARM 0x41 0xd0c", [])),
        ("", ("", [])),
    ],
    ids=["Intel", "AMD", "ARM", "unknown"],
)
def test_linux_tells_vendor_and_extensions(cpuinfo: str, told: tuple[str, list[str]]) -> None:
    assert described(cpuinfo) == told


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU computes here")
def test_this_processor_is_told_by_more_than_its_architecture() -> None:
    vendor, capability = kind_of_device().split()[:2]
    assert vendor != "x86_64"
    assert capability == torch.backends.cpu.get_cpu_capability()


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_variable_that_changes_bits_is_part_of_it(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    before = kind_of_device()
    monkeypatch.setenv(variable, "SSE41")
    assert kind_of_device() == f"{before} {variable}=SSE41"


@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"), reason="no other kernels to choose from")
def test_the_instruction_set_is_the_one_that_torch_computes_by() -> None:
    command = [sys.executable, "-c", "from pipeline.training.device import kind_of_device; print(kind_of_device())"]
    env = environment() | {"ATEN_CPU_CAPABILITY": "default"}
    told = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout.split()
    assert told[1] == "DEFAULT"
    assert told[-1] == "ATEN_CPU_CAPABILITY=default"
