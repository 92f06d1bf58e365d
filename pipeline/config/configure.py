"""Keep conf/ and params.yaml one: lift hand edits of params.yaml into conf/local/, compose conf/ anew.

Three files hold the whole state (docs/decisions/0001):
- conf/         what people edit; conf/local/overrides.yaml is what this working copy changes on top
- params.yaml   its composition, resolved: what DVC and the stages read
- conf.lock     what conf/ alone composed to when params.yaml was written"""

from pathlib import Path

from pipeline.config.checks import OPEN, check, unknown_keys
from pipeline.config.composition import Tree, compose, dump, get, has, known_keys, leaves, read_yaml, resolved
from pipeline.config.errors import ConfigError
from pipeline.config.lock import Lock, beyond, difference, overlooked, replace, swaps
from pipeline.config.overrides import Overrides


def configure(root: Path, in_experiment: bool) -> list[str]:
    """Bring params.yaml and conf.lock up to date in `root`; return a line for everything that changed.

    in_experiment: DVC composed params.yaml this second, `-S` included, so it stays as it is.
    Raises ConfigError before anything is written."""
    params_file, lock_file = root / "params.yaml", root / "conf.lock"
    refuse_half_a_state(params_file, lock_file)
    conf = root / "conf"
    if in_experiment:
        composed = read_yaml(params_file)
        check(composed, known_keys(conf, composed))
        beyond(conf, composed).write(lock_file)
        return ["params.yaml: as DVC composed it for this experiment"]
    overrides = Overrides.read(conf / "local" / "overrides.yaml")
    params: Tree = {}
    lock = Lock({}, {}, {}, {})
    if params_file.exists():
        params, lock = read_yaml(params_file), Lock.read(lock_file)
    lines = lift(params, lock, overrides) if params else []
    with overrides.on_trial():
        lines += drop_forgotten(conf, overrides, lock.values)
        values = compose(conf)
        composed = resolved(values)
        check(composed, known_keys(conf, composed))
    replace(params_file, dump(composed))
    Lock({}, {}, values, overlooked(composed)).write(lock_file)
    return lines + changes_told(params, composed)


def refuse_half_a_state(params: Path, lock: Path) -> None:
    for path, other in ((params, lock), (lock, params)):
        if not path.exists() and other.exists():
            raise ConfigError(
                f"{path.name} is missing but {other.name} is there, so a change made by hand could not be told from conf/. "
                f"Bring it back with `git checkout {path.name}`, or start anew from conf/ with `rm {other.name}`, then repeat"
            )


def lift(params: Tree, lock: Lock, overrides: Overrides) -> list[str]:
    """Move what params.yaml has beyond conf.lock into the overrides: choices first, then values."""
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
    return lines


def drop_forgotten(conf: Path, overrides: Overrides, known: Tree) -> list[str]:
    """Drop overrides of keys that conf/ had when they were made and has no longer."""
    if not overrides.values:
        return []
    base = known_keys(conf, compose(conf))
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
    before, after = dict(leaves(old)), dict(leaves(new))
    keys = [*after, *(key for key in before if key not in after)]
    return [
        f"params.yaml: {key}: {before.get(key, '(none)')} -> {after.get(key, '(none)')}"
        for key in keys
        if before.get(key, "(none)") != after.get(key, "(none)")
    ]
