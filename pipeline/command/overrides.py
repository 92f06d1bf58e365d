"""What overrides conf/ in this working copy: python -m pipeline.command.overrides [--clear KEY… | --clear-all]"""

from collections.abc import Collection
from pathlib import Path

from pipeline.config.errors import ConfigError
from pipeline.config.locate import Origin, located
from pipeline.config.merges import PAIR
from pipeline.config.overrides import Overrides, Own, group_of_choice
from pipeline.config.paths import WORKSPACE
from pipeline.config.pending import unlifted
from pipeline.config.process import parser_of, run_command
from pipeline.config.sync import configure
from pipeline.config.tree import Tree
from pipeline.config.wording import did_you_mean
from pipeline.config.yaml_files import check_files
from pipeline.config.yaml_nodes import LOCAL


def listed(root: Path) -> list[str]:
    """Return a line for everything that overrides conf/, with what conf/ itself says."""
    with located(Origin(root)):
        check_files(root, *PAIR)
        own, standing = _standing(root)
        lines = [f"{key}: {value}   (conf/: {own.says(key)})   {LOCAL}" for key, value in standing.items()]
        return lines + [f"{change}   params.yaml; `make params` lifts it" for change in unlifted(root)]


def clear(root: Path, keys: Collection[str] | None) -> list[str]:
    """Leave keys, or groups, to conf/ again, None: all; return a line for each and for what follows. Comments in the file stay.

    Raises ConfigError for a key that does not override conf/, and where conf/ alone can't work; nothing is changed then."""
    with located(Origin(root)):
        check_files(root, *PAIR)
        changes = [change.partition("=")[0] for change in unlifted(root)]
        _refuse_others(keys or (), {key: key for key in changes} | _shown(*_standing(root)))
    lines = configure(root, in_experiment=False) if changes else []
    own, standing = _standing(root)
    _refuse_others(keys or (), shown := _shown(own, standing))
    overrides = Overrides.read(root / LOCAL)
    for key, name in shown.items():
        if keys is None or key in keys or name in keys:
            lines.append(f"cleared: {name}={standing[key]}")
            lines += [f"cleared: {inner}, which was set for that {name}" for inner in _remove(overrides, key, own)]
    with overrides.on_trial():
        return lines + configure(root, in_experiment=False)


def _shown(own: Own, standing: Tree) -> dict[str, str]:
    """Return key -> what a person calls it: a choice goes by its group."""
    return {key: key.removesuffix(".name") if group_of_choice(key, own.alone) else key for key in standing}


def _refuse_others(keys: Collection[str], shown: dict[str, str]) -> None:
    for key in keys:
        if key not in shown and key not in shown.values():
            raise ConfigError(f"{key} does not stand above conf/{did_you_mean(key, shown.values())}")


def _remove(overrides: Overrides, key: str, own: Own) -> list[str]:
    """Remove an override; return the keys that were set for it, which go too."""
    if group := group_of_choice(key, own.alone):
        return overrides.unchoose(group)
    if key in overrides.by_key(own.under):  # else it went with its group's choice
        overrides.remove(key)
    return []


def _standing(root: Path) -> tuple[Own, Tree]:
    overrides = Overrides.read(root / LOCAL)
    own = Own.compose(root / "conf", overrides.choices)
    return own, overrides.by_key(own.under)


def main() -> None:
    """Print what overrides conf/ in this working copy, or what was cleared.

    That is conf/local/overrides.yaml, and what an applied experiment or an edit by hand left in params.yaml. Each is shown
    with what conf/ itself says; what is cleared is left to conf/ again from the next `dvc repro` on."""
    parser = parser_of(main)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--clear", nargs="+", metavar="KEY", help="leave these keys, or groups, to conf/ again")
    which.add_argument("--clear-all", action="store_true", help="leave all to conf/ again")
    arguments = parser.parse_args()
    if arguments.clear or arguments.clear_all:
        print("\n".join(clear(WORKSPACE, arguments.clear)))
    else:
        print("\n".join(listed(WORKSPACE)) or "nothing stands above conf/")


if __name__ == "__main__":
    run_command("overrides", main)
