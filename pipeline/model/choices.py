"""What a config chooses: the words for a name that there is not, for wrong options, and for numbers that can't be."""

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Thing = TypeVar("Thing")

# Options of these names, whichever kind they belong to: counts from 1 on, and others with their smallest value.
COUNTS = ("filters", "kernel", "stride", "dilation", "groups", "units", "neighbours")
LEAST = {"padding": 0, "std": 0}


def chosen(key: str, name: Any, among: Mapping[str, Thing]) -> Thing:
    """Return what `name` stands for; raises ValueError with the nearest name that there is."""
    if not isinstance(name, str) or name not in among:
        raise ValueError(f"{key} is {name!r}, expected one of {', '.join(among)}{_nearest(str(name), among)}")
    return among[name]


def options_of(make: Callable[..., Any], given: Sequence[str] = ()) -> dict[str, bool]:
    """Return option -> whether it is needed, of a function whose arguments in `given` no config decides."""
    parameters = inspect.signature(make).parameters.values()
    return {each.name: each.default is each.empty for each in parameters if each.name not in given}


def check_options(key: str, kind: str, options: Mapping[str, Any], known: Mapping[str, bool]) -> None:
    """Raise ValueError for the first option that the kind does not have, that it needs, or that is too small."""
    for option, value in options.items():
        if option not in known:
            raise ValueError(f"{key}.{option} is not an option of {kind}, which has {', '.join(known) or 'none'}{_nearest(option, known)}")
        if option in COUNTS and value is not None:
            require_count(f"{key}.{option}", value)
        if option == "rate":
            require_share(f"{key}.{option}", value)
        if isinstance(value, int | float) and value < LEAST.get(option, value):
            raise ValueError(f"{key}.{option} must be {LEAST[option]} or more, but it is {value}")
    for option, is_needed in known.items():
        if is_needed and option not in options:
            raise ValueError(f"{key}.{option} is missing, which {kind} needs")


def require_counts(key: str, values: Any, length: int | None = None) -> None:
    """Raise ValueError for anything but a list of `length` whole numbers of 1 or more; None: of as many as there are, but not none."""
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    if not is_list or len(values) != (length or len(values) or 1) or not all(_is_count(value) for value in values):
        are = f"they are {list(values)}" if is_list else f"it is {values!r}"
        raise ValueError(f"{key} must be {length or 'a list of'} whole numbers of at least 1, but {are}")


def require_count(key: str, value: Any) -> None:
    """Raise ValueError for anything but a whole number of 1 or more."""
    if not _is_count(value):
        raise ValueError(f"{key} must be a whole number of at least 1, but it is {value!r}")


def require_share(key: str, value: Any) -> None:
    """Raise ValueError for anything but a share of values that is set to 0; with 1 nothing would be left."""
    if not (_is_number(value) and 0 <= value < 1):
        raise ValueError(f"{key} must be a share from 0 to below 1, but it is {value!r}")


def require_above_zero(key: str, value: Any, most: float = math.inf) -> None:
    """Raise ValueError for anything but a number above 0, and `most` at most."""
    if not (_is_number(value) and 0 < value <= most):
        words = "" if math.isinf(most) else f", and {most} at most"
        raise ValueError(f"{key} must be a number above 0{words}, but it is {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _nearest(name: str, among: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, among, n=1)
    return f"; did you mean {near[0]}?" if near else ""
