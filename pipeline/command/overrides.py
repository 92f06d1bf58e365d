"""What stands above conf/ in this working copy: python -m pipeline.command.overrides [--clear KEY… | --clear-all]"""

from collections.abc import Collection
from pathlib import Path

from pipeline.config.above import Own, above, group_of_choice
from pipeline.config.arguments import parser_of
from pipeline.config.checks.keys import nearest
from pipeline.config.composition import Tree
from pipeline.config.conf_files import check_files
from pipeline.config.configure import configure
from pipeline.config.documents import LOCAL
from pipeline.config.entry import run_command
from pipeline.config.errors import ConfigError
from pipeline.config.merges import PAIR
from pipeline.config.origin import Origin
from pipeline.config.overrides import Overrides
from pipeline.config.pending import unlifted
from pipeline.config.places import WORKSPACE
from pipeline.config.refusals import located


def told(root: Path) -> list[str]:
    """Return a line for everything that stands above conf/."""
    with located(Origin(root)):
        check_files(root, *PAIR)
        own, standing = _standing(root)
        lines = [f"{key}: {value}   (conf/: {own.says(key)})   {LOCAL}" for key, value in standing.items()]
        return lines + [f"{change}   params.yaml; `make params` lifts it" for change in unlifted(root)]


def clear(root: Path, keys: Collection[str] | None) -> list[str]:
    """Leave keys, or groups, to conf/ again, None: all; return what was said by that. Comments stay.

    Raises ConfigError for a key that does not stand above conf/, and where conf/ alone can't work; nothing is changed then."""
    with located(Origin(root)):
        check_files(root, *PAIR)
        changes = [change.partition("=")[0] for change in unlifted(root)]
        _refuse_others(keys or (), {key: key for key in changes} | _named(*_standing(root)))
    lines = configure(root, in_experiment=False) if changes else []
    own, standing = _standing(root)
    _refuse_others(keys or (), named := _named(own, standing))
    overrides = Overrides.read(root / LOCAL)
    for key, name in named.items():
        if keys is None or key in keys or name in keys:
            lines.append(f"cleared: {name}={standing[key]}")
            lines += [f"cleared: {inner}, which was set for that {name}" for inner in _remove(overrides, key, own)]
    with overrides.on_trial():
        return lines + configure(root, in_experiment=False)


def _named(own: Own, standing: Tree) -> dict[str, str]:
    """Return key -> what a person calls it."""
    return {key: key.removesuffix(".name") if group_of_choice(key, own.alone) else key for key in standing}


def _refuse_others(keys: Collection[str], named: dict[str, str]) -> None:
    for key in keys:
        if key not in named and key not in named.values():
            raise ConfigError(f"{key} does not stand above conf/{nearest(key, named.values())}")


def _remove(overrides: Overrides, key: str, own: Own) -> list[str]:
    if group := group_of_choice(key, own.alone):
        return overrides.unchoose(group)
    if key in above(overrides, own.under):  # else it went with its group's choice
        overrides.remove(key)
    return []


def _standing(root: Path) -> tuple[Own, Tree]:
    overrides = Overrides.read(root / LOCAL)
    own = Own.compose(root / "conf", overrides.choices)
    return own, above(overrides, own.under)


def main() -> None:
    """Print what stands above conf/ in this working copy, or what was cleared.

    Above conf/ are conf/local/overrides.yaml, and what an applied experiment or a hand left in params.yaml. Each is shown
    with what conf/ itself says there; what is cleared leaves it to conf/ again, and the next `dvc repro` goes by that."""
    parser = parser_of(main)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--clear", nargs="+", metavar="KEY", help="leave these keys, or groups, to conf/ again")
    which.add_argument("--clear-all", action="store_true", help="leave all to conf/ again")
    arguments = parser.parse_args()
    if arguments.clear or arguments.clear_all:
        print("\n".join(clear(WORKSPACE, arguments.clear)))
    else:
        print("\n".join(told(WORKSPACE)) or "nothing stands above conf/")


if __name__ == "__main__":
    run_command("overrides", main)
