"""Keep conf/ and params.yaml one: lift hand edits of params.yaml into conf/local/, compose conf/ anew.

Three files hold the whole state (docs/decisions/0001):
- conf/         what people edit; conf/local/overrides.yaml is what this working copy changes on top
- params.yaml   its composition, resolved: what DVC and the stages read
- conf.lock     what conf/ alone composed to when params.yaml was written"""

from pathlib import Path

from pipeline.config.checks.check import check
from pipeline.config.checks.keys import OPEN, unknown_keys
from pipeline.config.checks.shortcuts import without_collecting
from pipeline.config.composition import Tree, compose, dump, get, has, known_keys, leaves, read_yaml
from pipeline.config.conf_files import check_files
from pipeline.config.difference import difference, swaps
from pipeline.config.documents import LOCAL
from pipeline.config.errors import ConfigError
from pipeline.config.lock import Lock, accepted, beyond, overlooked, replace
from pipeline.config.merges import PAIR, bring_back, refuse_mixture
from pipeline.config.order import ORDER, settled, spelled
from pipeline.config.origin import Origin
from pipeline.config.overrides import Overrides
from pipeline.config.refusals import located


def configure(root: Path, in_experiment: bool) -> list[str]:
    """Bring params.yaml and conf.lock up to date in `root`; return a line for everything that changed.

    in_experiment: DVC composed params.yaml this second, `-S` included, so it stays as it is.
    Raises ConfigError, with the place of what is wrong, before anything is written."""
    origin = Origin(root)
    with without_collecting(), located(origin):
        return _take_over(root, origin) if in_experiment else _compose(root, origin)


def _take_over(root: Path, origin: Origin) -> list[str]:
    """Check what DVC has composed, and record in conf.lock what it has beyond conf/."""
    check_files(root, "params.yaml")
    composed = settled(read_yaml(root / "params.yaml"))
    origin.tree, origin.edited = composed, [key for key, _ in leaves(composed)]  # until it is known what conf/ says
    lock = beyond(root / "conf", composed)
    origin.edited = lock.changed
    check(composed, known_keys(root / "conf", composed), accepted(root))
    replace(root / "params.yaml", dump(composed))
    lock.write(root / "conf.lock")
    return ["params.yaml: as DVC composed it for this experiment"]


def _compose(root: Path, origin: Origin) -> list[str]:
    """Lift what was changed in params.yaml, compose conf/, check it, write params.yaml and conf.lock."""
    refuse_half_a_state(root)
    check_files(root, "params.yaml", "conf.lock")  # before anything of them is lifted or told
    conf, params_file, lock_file = root / "conf", root / "params.yaml", root / "conf.lock"
    overrides = Overrides.read(root / LOCAL)
    params: Tree = {}
    lock = Lock({}, {}, {}, {})
    if params_file.exists():
        params, lock = settled(read_yaml(params_file)), Lock.read(lock_file)
        if params != lock.composed():
            refuse_mixture(root)
    lines, origin.edited = lift(params, lock, overrides) if params else ([], [])
    with overrides.on_trial():
        origin.tree = values = compose(conf)
        base = known_keys(conf, values)
        if forgotten := drop_forgotten(base, overrides, lock.values):
            lines += forgotten
            values = compose(conf)
        composed = check(values, base, accepted(root))
    replace(params_file, dump(composed))
    Lock({}, {}, values, overlooked(composed)).write(lock_file)
    return lines + changes_told(params, composed)


def refuse_half_a_state(root: Path) -> None:
    """Raise ConfigError where one of params.yaml and conf.lock is missing, with the commands that lead out of that."""
    missing = [name for name in PAIR if not (root / name).exists()]
    if len(missing) != 1:
        return
    [other] = set(PAIR) - set(missing)
    wanted = PAIR if other == "conf.lock" else missing  # of two moments they would differ, as if by hand
    command = bring_back(root, *wanted)
    raise ConfigError(
        f"{missing[0]} is missing but {other} is there, so a change made by hand could not be told from conf/. "
        f"{f'Bring it back with `{command}`, or start' if command else 'Start'} anew from conf/ with `rm {other}`, then repeat"
    )


def lift(params: Tree, lock: Lock, overrides: Overrides) -> tuple[list[str], list[str]]:
    """Move what params.yaml has beyond conf.lock into the overrides, choices first; return a line for each, and the keys."""
    swapped = swaps(params, lock.values)
    by_hand = difference(params, lock.composed(), skip=set(swapped))
    lines = []
    for group, option in (lock.chosen | swapped).items():
        lines.append(f"lifted into conf/local/overrides.yaml: {group}={option}")
        for key in overrides.choose(group, option):
            lines.append(f"dropped from conf/local/overrides.yaml: {key}, which was set for another {group}")
    for key, value in (lock.changed | by_hand).items():
        if key.split(".")[0] not in swapped:
            lines.append(f"lifted into conf/local/overrides.yaml: {key}={value}")
            overrides.set(key, value)
    complete_orders(params, [*lock.changed, *by_hand], overrides)
    return lines, [*(f"{group}.name" for group in lock.chosen | swapped), *lock.changed, *by_hand]


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
    unknown += [key for key, _ in leaves(overrides.values) if _amends_a_lost_entry(key, overrides.values, base, known)]
    for key in unknown:
        overrides.remove(key)
    if unknown:
        overrides.write()
    return [f"dropped from conf/local/overrides.yaml: {key}, which conf/ no longer has" for key in unknown]


def _amends_a_lost_entry(key: str, overrides: Tree, base: Tree, known: Tree) -> bool:
    """Tell whether key changes a part of a named entry, a layer say, whose other parts stood in conf/ and stand there no more."""
    for mapping in OPEN:
        if key.startswith(f"{mapping}."):
            entry = f"{mapping}.{key.removeprefix(f'{mapping}.').split('.')[0]}"
            if entry == key or has(base, entry) or not has(known, entry):
                return False
            return bool(get(known, entry).keys() - get(overrides, entry).keys())
    return False


def changes_told(old: Tree, new: Tree) -> list[str]:
    if not old:
        return ["params.yaml: composed from conf/"]
    before, after = dict(leaves(spelled(old))), dict(leaves(spelled(new)))
    moved = {key for key in difference(new, old, skip=set()) if key.endswith(ORDER)}
    keys = [*(key for key in after if not key.endswith(ORDER) or key in moved), *(key for key in before if key not in after)]
    return [
        f"params.yaml: {key}: {before.get(key, '(none)')} -> {after.get(key, '(none)')}"
        for key in keys
        if before.get(key, "(none)") != after.get(key, "(none)")
    ]
