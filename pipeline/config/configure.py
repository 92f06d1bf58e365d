"""Keep conf/ and params.yaml one: lift hand edits of params.yaml into conf/local/, compose conf/ anew.

Three files hold the whole state (docs/decisions/0001):
- conf/         what people edit; conf/local/overrides.yaml is what this working copy changes on top
- params.yaml   its composition, resolved: what DVC and the stages read
- conf.lock     what conf/ alone composed to when params.yaml was written"""

from contextlib import suppress
from pathlib import Path

from pipeline.config.above import Own, above
from pipeline.config.atomic import replace
from pipeline.config.checks.check import check
from pipeline.config.checks.shortcuts import without_collecting
from pipeline.config.composition import Tree, choices, compose, dump, leaves, read_yaml
from pipeline.config.conf_files import check_files
from pipeline.config.difference import Beyond, beyond, difference
from pipeline.config.documents import LOCAL
from pipeline.config.errors import ConfigError
from pipeline.config.later import Edits
from pipeline.config.lifting import drop_forgotten, lift_choices, lift_values
from pipeline.config.lock import Lock, accepted, overlooked
from pipeline.config.merges import PAIR, bring_back, refuse_mixture
from pipeline.config.order import ORDER, settled, spelled
from pipeline.config.origin import Origin
from pipeline.config.overrides import Overrides
from pipeline.config.pending import Pending
from pipeline.config.refusals import located
from pipeline.config.trained import has_trained


def configure(root: Path, in_experiment: bool) -> list[str]:
    """Bring params.yaml and conf.lock up to date in `root`; return a line for everything that changed.

    in_experiment: DVC composed params.yaml this second, `-S` included. If that is refused, the one before comes back.
    Raises ConfigError, with the place of what is wrong, before anything is written."""
    origin = Origin(root)
    try:
        with without_collecting(), located(origin):
            return _take_over(root, origin) if in_experiment else _compose(root, origin)
    except BaseException:
        if in_experiment:
            _put_back(root)
        raise


def _take_over(root: Path, origin: Origin) -> list[str]:
    """Check what DVC has composed, write it without the reserved words, and record in conf.lock what it has beyond conf/."""
    check_files(root, "params.yaml")
    overrides = Overrides.read(root / LOCAL)
    composed = settled(read_yaml(root / "params.yaml"), overrides.orders)
    origin.tree, origin.edited = composed, [key for key, _ in leaves(composed)]  # until it is known what conf/ says
    before = Lock.read(root / "conf.lock") if (root / "conf.lock").exists() else Lock()
    new, values = beyond(root / "conf", composed, overrides.orders)
    origin.typed, origin.edited = [f"{key}={value}" for key, value in (new.chosen | new.changed).items()], ()
    edits, own = Edits(before, overrides, Beyond(), new, is_trial=True), Own.compose(root / "conf", choices(values))
    lines = edits.settle_choices(own.alone) + edits.settle_values(own)
    with overrides.on_trial():
        if lines:  # some may have been dropped
            values = compose(root / "conf", [f"{group}={option}" for group, option in new.chosen.items()], overrides.orders)
            own = Own.compose(root / "conf", choices(values), own.alone)
        lock = _recorded(values, overrides, new, own)
        lock.before = before.left if before.beyond and has_trained(root, before) else before.before
        params = lock.composed()
        check(params, own.under, accepted(root))
    _write(root, {"conf.lock": lock.text, "params.yaml": dump(params)})  # killed in between: params.yaml is still an experiment's
    return ["params.yaml: as DVC composed it for this experiment", *lines]


def _compose(root: Path, origin: Origin) -> list[str]:
    """Lift what was changed in params.yaml, compose conf/, check it, write params.yaml and conf.lock."""
    refuse_half_a_state(root)
    check_files(root, "params.yaml", "conf.lock")  # before anything of them is lifted or told
    conf, overrides = root / "conf", Overrides.read(root / LOCAL)
    found = Pending.read(root) if (root / "params.yaml").exists() else Pending()
    origin.edited = [
        *(f"{group}.name" for group in found.by_hand.chosen | found.applied.chosen),
        *found.applied.changed,
        *found.by_hand.changed,
    ]
    if found.by_hand:
        refuse_mixture(root)
    edits = Edits(found.lock, overrides, found.applied, found.by_hand, found.earlier.get("beneath", {}))
    own = Own.compose(conf, {})
    lines = found.notes + edits.settle_choices(own.alone) + lift_choices(overrides, found)
    lines += edits.settle_values(own := Own.compose(conf, overrides.choices, own.alone)) + lift_values(overrides, found, own.under)
    with overrides.on_trial():
        lines += drop_forgotten(own.under, overrides, found.lock.values)
        origin.tree = values = compose(conf) if overrides.tree else own.alone
        composed = check(values, own.under, accepted(root))
    lock = _recorded(values, overrides, Beyond(), own)
    _write(root, {"params.yaml": dump(composed), "conf.lock": lock.text})  # killed in between: params.yaml is as conf/ composes it
    return lines + changes_told(found.params, composed)


def _recorded(values: Tree, overrides: Overrides, new: Beyond, own: Own) -> Lock:
    """Return the lock for a composition, with an experiment's values on top."""
    lock = Lock(new.chosen, new.changed, values, {}, above(overrides, own.under))
    lock.overlooked = overlooked(lock.composed())
    lock.beneath = {key: own.says(key) for key in lock.standing}
    return lock


def _write(root: Path, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        replace(root / name, text)


def _put_back(root: Path) -> None:
    """Write params.yaml as it was before DVC composed it for an experiment that is refused."""
    with suppress(OSError, ConfigError):  # nothing is known of it
        replace(root / "params.yaml", dump(Lock.read(root / "conf.lock").composed()))


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
