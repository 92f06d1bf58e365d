"""Memory that a step frees stays with the process, on glibc."""

import platform
import subprocess
import sys

import pytest

STEPS, MIB = 20, 64  # of steps that are counted, after as many that are not
LOOK = f"""
import resource, sys, torch
from pipeline.training.device import set_up_processor
if sys.argv[1] == "kept":
    set_up_processor(1)
def step():
    torch.ones({MIB} * 2**18)  # float32
    b"x" * ({MIB} << 20)  # the last of the heap, which can shrink by it
for _ in range({STEPS}):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({STEPS}):
    step()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() // 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc is told")
def test_steps_after_the_first_ones_take_no_new_memory() -> None:
    taken = {how: int(subprocess.check_output([sys.executable, "-c", LOOK, how])) for how in ("kept", "given back")}  # MiB
    assert taken["kept"] < MIB
    assert taken["given back"] > MIB * STEPS / 2  # else this test shows nothing
