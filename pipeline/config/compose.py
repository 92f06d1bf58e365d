"""conf/ composed by Hydra, exactly as `dvc exp run` composes it, and YAML read and written as DVC does."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.initialize import get_gh_backup, restore_gh_from_backup
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline.config.environment import ReadsEnvironmentError, close_environment
from pipeline.config.errors import ConfigError
from pipeline.config.schema import Config
from pipeline.config.tree import NONE, Tree, apply_directives, choices, get, has

close_environment()


def compose(conf: Path, overrides: list[str] | None = None, earlier: Mapping[str, Any] = NONE) -> Tree:
    """Compose conf/config.yaml with Hydra overrides, directives applied; interpolations stay unresolved.

    earlier: as for `apply_directives`. Raises ConfigError with Hydra's own words, which name the file or list the options."""
    outer = get_gh_backup()  # a live run's own Hydra, of which there can be one at a time
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf.resolve()), version_base=None):
            composed = plain(hydra_compose("config", overrides=overrides or []))
    except Exception as error:  # Hydra's, OmegaConf's and YAML's errors share no base, and Hydra crashes on some input
        raise ConfigError(f"conf/ can't be composed: {in_one_line(error)}") from error
    finally:
        restore_gh_from_backup(outer)
    return apply_directives(composed, earlier)


def in_one_line(error: BaseException) -> str:
    """Return a message of Hydra's or OmegaConf's without its search path and internal names."""
    words = str(error) or str(error.__cause__ or type(error).__name__)
    return " ".join(words.partition("Config search path")[0].partition("full_key:")[0].split())


def compose_alone(conf: Path, chosen: Mapping[str, str]) -> Tree:
    """Compose conf/ under some choices and without conf/local, which holds what this working copy changes on top."""
    no_local = ["~local"] if (conf / "local" / "overrides.yaml").exists() else []
    return compose(conf, no_local + [f"{group}={option}" for group, option in chosen.items()])


def option_of(path: Path, conf: Path) -> tuple[str, str]:
    """Return group and option of a file of conf/, as `group=option` chooses it: conf/a/b/c.yaml is a=b/c."""
    group, _, option = path.relative_to(conf).with_suffix("").as_posix().partition("/")
    return (group, option) if option else ("", group)


def options(conf: Path, group: str) -> list[str]:
    """Return the options of a group, those in its folders as `folder/option`; none where there is no such group."""
    folder = conf / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml")) if group else []


def known_keys(conf: Path, tree: Tree) -> Tree:
    """Compose conf/ under the choices of `tree`, without this working copy's overrides: its keys are the known ones."""
    return compose_alone(conf, choices(tree))


def read_yaml(path: Path) -> Tree:
    """Read one YAML mapping by OmegaConf, which takes 1e-5 for a number where PyYAML takes it for a string; raises ConfigError."""
    try:
        loaded = OmegaConf.load(path)
    except Exception as error:  # OmegaConf passes YAML's own exceptions on, which share no base with its own
        raise ConfigError(f"{path.name} is not readable YAML: {in_one_line(error)}") from error
    if not isinstance(loaded, DictConfig):
        raise ConfigError(f"{path.name} must hold a mapping of keys to values, not a {type(loaded).__name__}")
    return plain(loaded)


def plain(cfg: Any) -> Tree:
    """Return the mapping with its interpolations unresolved."""
    return cast(Tree, OmegaConf.to_container(cfg, resolve=False))


def resolved(tree: Tree) -> Tree:
    """Return the mapping with every ${...} replaced by what it refers to; raises ConfigError where that does not exist."""
    try:
        return cast(Tree, OmegaConf.to_container(OmegaConf.create(tree), resolve=True))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        what = "" if isinstance(error, ReadsEnvironmentError) else "an interpolation refers to nothing: "
        raise ConfigError(f"{what}{in_one_line(error)}", key) from error


def dump(tree: Tree) -> str:
    """Return the YAML text that DVC writes for the same composition, byte for byte."""
    return OmegaConf.to_yaml(OmegaConf.create(tree))


def parse(tree: Tree) -> Config:
    """Return the typed config; raises ConfigError naming the key that is unknown, missing or of the wrong type."""
    try:
        typed = OmegaConf.merge(OmegaConf.structured(Config), OmegaConf.create(_with_names_of_classes(tree)))
        return cast(Config, OmegaConf.to_object(typed))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "?"
        raise ConfigError(f"{key}: {str(error).splitlines()[0]}", key) from error


def _with_names_of_classes(tree: Tree) -> Tree:
    """Return the config with the keys of dataset.take as text: a class may be called 0, which YAML reads as a number."""
    if not has(tree, "dataset.take") or not isinstance(take := get(tree, "dataset.take"), dict):
        return tree
    named = {str(name) if type(name) is int else name: kept for name, kept in take.items()}
    return tree | {"dataset": get(tree, "dataset") | {"take": named}}
