"""Move what params.yaml has beyond conf/ into the overrides of this working copy, and drop overrides that mean nothing any more."""

from pipeline.config.checks.keys import OPEN, unknown_keys
from pipeline.config.composition import Tree, get, has, leaves
from pipeline.config.difference import swaps
from pipeline.config.documents import LOCAL
from pipeline.config.order import ORDER
from pipeline.config.overrides import Overrides
from pipeline.config.pending import Pending


def lift_choices(overrides: Overrides, found: Pending) -> list[str]:
    """Move choices, which come first: what was set for another option goes. Return a line for each."""
    lines = []
    for group, option in (found.applied.chosen | found.by_hand.chosen).items():
        lines.append(f"lifted into {LOCAL}: {group}={option}")
        lines += [f"dropped from {LOCAL}: {key}, which was set for another {group}" for key in overrides.choose(group, option)]
    return lines


def lift_values(overrides: Overrides, found: Pending, base: Tree) -> list[str]:
    """Move values, but for layers and transforms of another network or augmentation than conf/ now has (base). Return a line for each."""
    lines = found.forget_entries(swaps(base, found.lock.values))
    for key, value in (found.applied.changed | found.by_hand.changed).items():
        if key.split(".")[0] not in found.by_hand.chosen:
            stood = f", in place of {old}" if has(overrides.values, key) and (old := get(overrides.values, key)) != value else ""
            lines.append(f"lifted into {LOCAL}: {key}={value}{stood}")
            overrides.set(key, value)
    complete_orders(found.params, [*found.applied.changed, *found.by_hand.changed], overrides)
    return lines


def complete_orders(params: Tree, lifted: list[str], overrides: Overrides) -> None:
    """Bring the orders that the overrides hold up to date with entries that came or went in params.yaml."""
    for key in [key for key, _ in leaves(overrides.values) if key.endswith(f".{ORDER}")]:
        mapping = key.removesuffix(f".{ORDER}")
        came_or_went = any(name.startswith(f"{mapping}.") for name in lifted)
        if came_or_went and has(params, mapping) and set(get(params, mapping)) != set(get(overrides.values, key)):
            overrides.set(key, list(get(params, mapping)))


def drop_forgotten(base: Tree, overrides: Overrides, known: Tree) -> list[str]:
    """Drop overrides of keys that conf/ had when they were made (known) and has no longer (base)."""
    unknown = [key for key in unknown_keys(overrides.values, base) if has(known, key)]
    unknown += [key for key, _ in leaves(overrides.values) if _is_of_a_lost_mapping(key, base, known)]
    unknown += [key for key, _ in leaves(overrides.values) if _amends_a_lost_entry(key, overrides.values, base, known)]
    for key in dict.fromkeys(unknown):
        overrides.remove(key)
    if unknown:
        overrides.write()
    return [f"dropped from {LOCAL}: {key}, which conf/ no longer has" for key in dict.fromkeys(unknown)]


def _is_of_a_lost_mapping(key: str, base: Tree, known: Tree) -> bool:
    """Tell whether key stands in a mapping of named entries that conf/ had and has no more: another network has no layers, say."""
    return any(key.startswith(f"{mapping}.") and has(known, mapping) and not has(base, mapping) for mapping in OPEN)


def _amends_a_lost_entry(key: str, overrides: Tree, base: Tree, known: Tree) -> bool:
    """Tell whether key changes a part of a named entry, a layer say, whose other parts stood in conf/ and stand there no more."""
    for mapping in OPEN:
        if key.startswith(f"{mapping}."):
            entry = f"{mapping}.{key.removeprefix(f'{mapping}.').split('.')[0]}"
            if entry == key or has(base, entry) or not has(known, entry):
                return False
            return bool(get(known, entry).keys() - get(overrides, entry).keys())
    return False
