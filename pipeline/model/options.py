"""Check a network's options, and choose its variant: the paper's, or the one for small images."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pipeline.config.wording import did_you_mean

Choice = TypeVar("Choice")

# Options of layers by name: positive integers, and others with their minimum.
COUNTS = ("filters", "kernel", "stride", "dilation", "groups", "units", "neighbours")
SMALLEST = {"padding": 0, "std": 0}

PAPER, SMALL, AUTO = "paper", "small", "auto"
PAPER_FROM = 112  # pixels, half the papers' 224: from there on their strides leave maps of 3x3 or more
VARIANTS = {PAPER: 0, SMALL: math.inf, AUTO: PAPER_FROM}  # pixels, from which on the paper's is built


def chosen(key: str, name: Any, choices: Mapping[str, Choice]) -> Choice:
    """Return choices[name]. Raises ValueError with the names and the nearest one."""
    if not isinstance(name, str) or name not in choices:
        raise ValueError(f"{key} is {name!r}, expected one of {', '.join(choices)}{did_you_mean(str(name), choices)}")
    return choices[name]


def is_small(variant: str, image_size: int) -> bool:
    """Return whether to build the variant for small images; AUTO: below PAPER_FROM pixels. Raises ValueError for an unknown variant."""
    return image_size < chosen("variant", variant, VARIANTS)


def small_variant_note(image_size: int, changes: str) -> str:
    """Describe how the small variant differs from the paper, for a network's `notes`."""
    return f"small variant for images of {image_size}x{image_size} pixels: {changes}. model.variant=paper keeps the paper's layers"


def options_of(make: Callable[..., Any], reserved: Sequence[str] = ()) -> dict[str, bool]:
    """Return option → whether it is required, from the signature of `make`, except its `reserved` parameters."""
    parameters = inspect.signature(make).parameters.values()
    return {each.name: each.default is each.empty for each in parameters if each.name not in reserved}


def check_options(key: str, kind: str, options: Mapping[str, Any], known: Mapping[str, bool]) -> None:
    """Raise ValueError for the first option that is unknown, missing or out of range. known: as `options_of` returns it."""
    for option, value in options.items():
        if option not in known:
            known_names = ", ".join(known) or "none"
            raise ValueError(f"{key}.{option} is not an option of {kind}, which has {known_names}{did_you_mean(option, known)}")
        if option in COUNTS and value is not None:
            require_count(**{f"{key}.{option}": value})
        if option == "rate":
            require_share(**{f"{key}.{option}": value})
        if isinstance(value, int | float) and value < SMALLEST.get(option, value):
            raise ValueError(f"{key}.{option} must be {SMALLEST[option]} or more, but it is {value}")
    for option, is_required in known.items():
        if is_required and option not in options:
            raise ValueError(f"{key}.{option} is missing, which {kind} needs")


def require_counts(length: int | None = None, **lists: Any) -> None:
    """Raise ValueError for anything but lists of positive integers. length: of each list; None: any but 0."""
    for key, values in lists.items():
        is_list = isinstance(values, Sequence) and not isinstance(values, str)
        if not is_list or len(values) != (length or len(values) or 1) or not all(_is_count(value) for value in values):
            are = f"they are {list(values)}" if is_list else f"it is {values!r}"
            raise ValueError(f"{key} must be {length or 'a list of'} whole numbers of at least 1, but {are}")


def require_count(**values: Any) -> None:
    """Raise ValueError for anything but positive integers."""
    for key, value in values.items():
        if not _is_count(value):
            raise ValueError(f"{key} must be a whole number of at least 1, but it is {value!r}")


def require_share(**values: Any) -> None:
    """Raise ValueError for anything but numbers in [0, 1), such as a dropout rate."""
    for key, value in values.items():
        if not (_is_number(value) and 0 <= value < 1):
            raise ValueError(f"{key} must be a share from 0 to below 1, but it is {value!r}")


def require_positive(most: float = math.inf, **values: Any) -> None:
    """Raise ValueError for anything but numbers in (0, most]."""
    for key, value in values.items():
        if not (_is_number(value) and 0 < value <= most):
            limit = "" if math.isinf(most) else f", and {most} at most"
            raise ValueError(f"{key} must be a number above 0{limit}, but it is {value!r}")


def blocks_of_depth(depth: Any, layers_per_block: int, other_layers: int, examples: str) -> int:
    """Return the number of blocks in a network of `depth` layers. Raises ValueError if it is no whole number."""
    require_count(depth=depth)
    blocks, rest = divmod(depth - other_layers, layers_per_block)
    if rest or blocks < 1:
        raise ValueError(f"depth must be {layers_per_block}n + {other_layers}, such as {examples}, but it is {depth}")
    return blocks


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
