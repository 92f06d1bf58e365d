"""Keep conf/ and params.yaml in sync: lift hand edits of params.yaml into conf/local/, compose conf/ anew.

Three files hold the whole state (docs/decisions/0001):
- conf/         what people edit; conf/local/overrides.yaml is what this working copy changes on top
- params.yaml   its composition, resolved: what DVC and the stages read
- conf.lock     what conf/ alone composed to when params.yaml was written"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.config.atomic import replace
from pipeline.config.compose import compose, dump, read_yaml
from pipeline.config.errors import ConfigError
from pipeline.config.later import Edits
from pipeline.config.locate import Origin, located
from pipeline.config.merges import PAIR, bring_back, refuse_mixture
from pipeline.config.overrides import Overrides, Own
from pipeline.config.params_lock import Changes, Lock, accepted, overlooked
from pipeline.config.pending import Pending, changes_from, swaps
from pipeline.config.tree import ORDER, Tree, apply_directives, choices, difference, get, has, leaves, with_order
from pipeline.config.validate import OPEN_MAPPINGS, check, unknown_keys
from pipeline.config.yaml_files import check_files
from pipeline.config.yaml_nodes import LOCAL


def configure(root: Path, in_experiment: bool) -> list[str]:
    """Bring params.yaml and conf.lock up to date in `root`; return a line for everything that changed.

    in_experiment: DVC composed params.yaml this second, `-S` included; if that is refused, the one before is restored.
    Raises ConfigError, with the place of what is wrong, before anything is written."""
    origin = Origin(root)
    try:
        with located(origin):
            return _take_over(root, origin) if in_experiment else _compose(root, origin)
    except BaseException:
        if in_experiment:
            _restore_params(root)
        raise


def override(root: Path, chosen: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    """Write choices of groups, then values, to conf/local/overrides.yaml and recompose params.yaml; return a line for what changed.

    If that fails or is interrupted, the file is restored."""
    overrides = Overrides.read(root / LOCAL)
    for group, option in chosen.items():
        overrides.choose(group, option)
    for key, value in values.items():
        overrides.set(key, value)
    with overrides.on_trial():
        return configure(root, in_experiment=False)


def _take_over(root: Path, origin: Origin) -> list[str]:
    """Check what DVC has composed, write it without the directives, and record in conf.lock what it has beyond conf/."""
    check_files(root, "params.yaml")
    conf, overrides = root / "conf", Overrides.read(root / LOCAL)
    composed = apply_directives(read_yaml(root / "params.yaml"), overrides.orders)
    origin.tree, origin.edited = composed, [key for key, _ in leaves(composed)]  # until it is known what conf/ says
    before = Lock.read(root / "conf.lock") if (root / "conf.lock").exists() else Lock()
    new, values = changes_from(conf, composed, overrides.orders)
    origin.typed, origin.edited = new.words, ()
    edits, own = Edits(Pending(lock=before, by_hand=new), overrides, is_trial=True), Own.compose(conf, choices(values))
    lines = edits.settle_choices(own.alone) + edits.settle_values(own)
    with overrides.on_trial():
        if lines:  # some may have been dropped
            values = compose(conf, [f"{group}={option}" for group, option in new.chosen.items()], overrides.orders)
            own = Own.compose(conf, choices(values), own.alone)
        lock = _lock(values, overrides, new, own)
        lock.before = before.left if before.experiment and before.has_trained(root) else before.before
        params = lock.composed()
        check(params, accepted(root))
    _write(root, {"conf.lock": lock.text, "params.yaml": dump(params)})  # killed in between: params.yaml is still an experiment's
    return ["params.yaml: as DVC composed it for this experiment", *lines]


def _compose(root: Path, origin: Origin) -> list[str]:
    """Lift what was changed in params.yaml, compose conf/, check it, write params.yaml and conf.lock."""
    _refuse_half_a_state(root)
    check_files(root, "params.yaml", "conf.lock")  # before anything of them is lifted or shown
    conf, overrides = root / "conf", Overrides.read(root / LOCAL)
    found = Pending.read(root) if (root / "params.yaml").exists() else Pending()
    origin.edited = [*(f"{group}.name" for group in found.all.chosen), *found.applied.changed, *found.by_hand.changed]
    if found.by_hand:
        refuse_mixture(root)
    edits, own = Edits(found, overrides), Own.compose(conf, {})
    lines = found.notes + edits.settle_choices(own.alone) + _lift_choices(overrides, found)
    own = Own.compose(conf, overrides.choices, own.alone)
    lines += edits.settle_values(own) + _lift_values(overrides, found, own.under)
    with overrides.on_trial():
        lines += _drop_forgotten(own.under, overrides, found.lock.values)
        origin.tree = values = compose(conf) if overrides.tree else own.alone
        composed = check(values, found.accepted)
    lock = _lock(values, overrides, Changes(), own)
    _write(root, {"params.yaml": dump(composed), "conf.lock": lock.text})  # killed in between: params.yaml is as conf/ composes it
    return lines + changes_told(found.params, composed)


def _lock(values: Tree, overrides: Overrides, experiment: Changes, own: Own) -> Lock:
    """Return the lock for a composition, with an experiment's values on top."""
    lock = Lock(experiment.chosen, experiment.changed, values, {}, overrides.by_key(own.under))
    lock.overlooked = overlooked(lock.composed())
    lock.beneath = {key: own.says(key) for key in lock.standing}
    return lock


def _write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        replace(root / name, text)


def _restore_params(root: Path) -> None:
    """Write params.yaml as it was before DVC composed it for an experiment that is refused."""
    with suppress(OSError, ConfigError):  # no lock to restore it from
        replace(root / "params.yaml", dump(Lock.read(root / "conf.lock").composed()))


def _refuse_half_a_state(root: Path) -> None:
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


def _lift_choices(overrides: Overrides, found: Pending) -> list[str]:
    """Move choices, which come first: what was set for another option goes. Return a line for each."""
    lines = []
    for group, option in found.all.chosen.items():
        lines.append(f"lifted into {LOCAL}: {group}={option}")
        lines += [f"dropped from {LOCAL}: {key}, which was set for another {group}" for key in overrides.choose(group, option)]
    return lines


def _lift_values(overrides: Overrides, found: Pending, own: Tree) -> list[str]:
    """Move values, but for layers and transforms of another network or augmentation than conf/ now has. Return a line for each."""
    lines = found.forget_entries(swaps(own, found.lock.values))
    for key, value in found.all.changed.items():
        if key.split(".")[0] not in found.by_hand.chosen:
            stood = f", in place of {old}" if has(overrides.values, key) and (old := get(overrides.values, key)) != value else ""
            lines.append(f"lifted into {LOCAL}: {key}={value}{stood}")
            overrides.set(key, value)
    _complete_orders(found, overrides)
    return lines


def _complete_orders(found: Pending, overrides: Overrides) -> None:
    """Bring the orders in the overrides up to date with entries that came or went in params.yaml."""
    for key, order in overrides.orders.items():
        mapping = key.removesuffix(f".{ORDER}")
        came_or_went = any(name.startswith(f"{mapping}.") for name in found.all.changed)
        if came_or_went and has(found.params, mapping) and set(get(found.params, mapping)) != set(order):
            overrides.set(key, list(get(found.params, mapping)))


def _drop_forgotten(own: Tree, overrides: Overrides, known: Tree) -> list[str]:
    """Drop overrides of keys that conf/ had when they were made (known) and has no longer (own); return a line for each."""
    forgotten = [key for key in unknown_keys(overrides.values, own) if has(known, key)]
    keys = [key for key, _ in leaves(overrides.values)]
    forgotten += [key for key in keys if _is_of_a_lost_mapping(key, own, known)]
    forgotten += [key for key in keys if _amends_a_lost_entry(key, overrides.values, own, known)]
    for key in dict.fromkeys(forgotten):
        overrides.remove(key)
    if forgotten:
        overrides.write()
    return [f"dropped from {LOCAL}: {key}, which conf/ no longer has" for key in dict.fromkeys(forgotten)]


def _is_of_a_lost_mapping(key: str, own: Tree, known: Tree) -> bool:
    """Tell whether key stands in a mapping of named entries that conf/ had and has no more: another network has no layers, say."""
    return any(key.startswith(f"{mapping}.") and has(known, mapping) and not has(own, mapping) for mapping in OPEN_MAPPINGS)


def _amends_a_lost_entry(key: str, overrides: Tree, own: Tree, known: Tree) -> bool:
    """Tell whether key changes a part of a named entry, a layer say, whose other parts were in conf/ and are no more."""
    for mapping in OPEN_MAPPINGS:
        if key.startswith(f"{mapping}."):
            entry = f"{mapping}.{key.removeprefix(f'{mapping}.').split('.')[0]}"
            if entry == key or has(own, entry) or not has(known, entry):
                return False
            return bool(get(known, entry).keys() - get(overrides, entry).keys())
    return False


def changes_told(old: Tree, new: Tree) -> list[str]:
    """Return a line for each key whose value or order differs between two versions of params.yaml."""
    if not old:
        return ["params.yaml: composed from conf/"]
    before, after = dict(leaves(with_order(old))), dict(leaves(with_order(new)))
    moved = {key for key in difference(new, old, skip=set()) if key.endswith(ORDER)}
    keys = [*(key for key in after if not key.endswith(ORDER) or key in moved), *(key for key in before if key not in after)]
    return [
        f"params.yaml: {key}: {before.get(key, '(none)')} -> {after.get(key, '(none)')}"
        for key in keys
        if before.get(key, "(none)") != after.get(key, "(none)")
    ]
