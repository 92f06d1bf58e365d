"""Leave out what a check does not need and what takes longer than the check: imports, garbage collection, first values of weights."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


@contextmanager
def without_collecting() -> Iterator[None]:
    """Let the garbage be while modules are imported, which make little of it: the collector takes a tenth of torch's import."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def without_torch() -> Iterator[None]:
    """Let albumentations do without torch where that is not imported yet: one transform of many needs it, and it takes a second."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None  # type: ignore[assignment]  # Python's way to say: can't be imported
    try:
        yield
    finally:
        del sys.modules["torch"]


@contextmanager
def without_compiler() -> Iterator[None]:
    """Keep torch's compiler out: torch imports it, for two seconds, only to switch it off around an optimizer and a linear layer.

    Afterwards torch is as before: what it remembers of the switching is undone."""
    if "torch._dynamo" in sys.modules:
        yield
        return
    switched: list[Any] = []

    def disable(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        switched.append(function)
        return function

    stand_in = ModuleType("torch._dynamo")
    vars(stand_in).update(disable=disable, graph_break=lambda: None, __path__=[])
    sys.modules["torch._dynamo"] = stand_in
    try:
        yield
    finally:
        del sys.modules["torch._dynamo"]
        for function in switched:
            vars(function).pop("__dynamo_disable", None)


@contextmanager
def without_first_values() -> Iterator[None]:
    """Leave weights as the memory is, which costs nothing, also of a hundred million; and draw no random number."""
    from torch.nn import init

    functions = {name: function for name, function in vars(init).items() if name.endswith("_") and not name.startswith("_")}
    vars(init).update(dict.fromkeys(functions, lambda tensor, *_, **__: tensor))
    try:
        yield
    finally:
        vars(init).update(functions)
