"""What a config chooses by name, with options of its own: the words for a name that there is not, and for wrong options."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Thing = TypeVar("Thing")

# The smallest value of an option, whichever kind it belongs to.
LEAST = dict.fromkeys(("filters", "kernel", "stride", "dilation", "groups", "units", "neighbours"), 1) | {"padding": 0, "std": 0}


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
        if isinstance(value, int | float) and value < LEAST.get(option, value):
            raise ValueError(f"{key}.{option} must be {LEAST[option]} or more, but it is {value}")
    for option, is_needed in known.items():
        if is_needed and option not in options:
            raise ValueError(f"{key}.{option} is missing, which {kind} needs")


def _nearest(name: str, among: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, among, n=1)
    return f"; did you mean {near[0]}?" if near else ""
