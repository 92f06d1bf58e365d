"""What surrounds a live run: its command line and folder are checked, and what it does not see in params.yaml is said.

Inside DVC the configure stage checks, so no stage depends on this file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException

from pipeline.config.compose import in_one_line
from pipeline.config.environment import RESOLVER, reads_environment
from pipeline.config.errors import ConfigError, PipelineError
from pipeline.config.locate import Origin, located, name_of, on_the_command_line, translated, with_place
from pipeline.config.overrides import Overrides
from pipeline.config.params_lock import accepted
from pipeline.config.paths import OUTS
from pipeline.config.pending import unlifted
from pipeline.config.secrets import looks_secret, redact, way_out
from pipeline.config.tree import Tree, apply_directives
from pipeline.config.yaml_files import check_files
from pipeline.config.yaml_nodes import LOCAL

# Folders of the project's root; names that begin with a dot, and files, are its own too. tests/config/test_live_folder.py holds the list.
PARTS = {
    "benchmarks",
    "bundle",
    "checkpoints",
    "chunks",
    "conf",
    "data",
    "docs",
    "downloads",
    "dvc_plots",
    "hydra_plugins",
    "journals",
    "mlruns",
    "pipeline",
    "reports",
    "restored",
    "tests",
    "tour",
}
OVERWRITTEN = {*OUTS, "config.yaml"}  # what a live run writes anew in its folder
MARK = ".*.lock"  # which each stage leaves there


@contextmanager
def composing(root: Path, words: list[str]) -> Iterator[None]:
    """Surround Hydra: refuse what it must not see, and raise what it refuses as ConfigError with its place.

    words: the command line without the program's name."""
    typed = _refuse_typed(words)
    check_files(root, "params.yaml", "conf.lock")
    try:
        yield
    except Exception as error:  # Hydra's own errors share no base with OmegaConf's and YAML's, and it crashes on some input
        if isinstance(error, PipelineError) or (isinstance(error, OSError) and not isinstance(error, HydraException)):
            raise
        origin = Origin(root, typed)
        raise with_place(translated(error, origin) or ConfigError(in_one_line(error)), origin) from error


def _refuse_typed(words: list[str]) -> list[str]:
    """Raise ConfigError for a word that looks like a secret, reads the environment, or makes Hydra run what it names.

    Return the overrides among the words, without options of Hydra's and their values."""
    for word in words:
        key, _, value = word.partition("=")
        if what := looks_secret(name_of(word), value) or looks_secret("", word):
            raise ConfigError(f"the command line ({redact(key)}=…): the value looks like {what}; {way_out(name_of(word))}")
        if RESOLVER in word:
            raise ConfigError(f"{on_the_command_line(word)}: {reads_environment(name_of(word))}")
    options = get_args_parser().parse_args(words)  # only now: it prints what it does not know
    for word in options.overrides:
        if "hydra.callbacks" in word or "hydra/callbacks" in word or name_of(word) == "hydra":
            raise ConfigError(f"{on_the_command_line(word)}: Hydra would run what this names; no callback is allowed")
    if options.experimental_rerun:
        raise ConfigError("--experimental-rerun runs what is in the file that it names; type the overrides of that run instead")
    return list(options.overrides)


@contextmanager
def live_run(tree: Tree, root: Path, folder: Path, typed: list[str], is_job: bool = False) -> Iterator[Tree]:
    """Check the config and yield it resolved; a ConfigError, a later one too, is raised with its place.

    is_job: it is one of a sweep, which has warned for all."""
    from pipeline.config.validate import check

    origin = Origin(root, typed, tree=tree)
    with located(origin):
        try:
            origin.tree = tree = ordered(tree, root)
            params = check(tree, accepted(root))
        except PipelineError:
            if not any(folder.iterdir()):
                folder.rmdir()
            raise
        if not is_job:
            warn_of_unlifted(root)
        yield params


def ordered(tree: Tree, root: Path) -> Tree:
    """Return a live run's config with its directives applied; entries that it adds to an order of the overrides come last."""
    return apply_directives(tree, Overrides.read(root / LOCAL).orders)


def warn_of_unlifted(root: Path) -> None:
    """Print what params.yaml holds and a live run does not."""
    if changes := unlifted(root):
        print(
            f"note: params.yaml holds what conf/ does not: {', '.join(changes)}. This live run goes by conf/; `make params` lifts it there",
            file=sys.stderr,
        )


def refuse_folder(key: str, folder: Path, root: Path) -> None:
    """Raise ConfigError for a folder in which a live run would overwrite what it has not made: the project's, or others' results.

    key: what names the folder."""
    if what := _harm(folder.resolve(), root.resolve()):
        advice = f"name one of its own, {key}=runs/NAME say" if key in ("hydra.run.dir", "hydra.sweep.dir") else f"leave {key} out"
        raise ConfigError(f"{key} leads to {folder.resolve()}, which {what}; {advice}", key)


def _harm(folder: Path, root: Path) -> str:
    above = [path for path in (folder, *folder.parents) if path.exists()]
    if not above[0].is_dir():
        return f"can't be a folder: {above[0].name} is a file"
    identities = {_identity(path) for path in above}  # a file system may not tell capitals apart, and links lead here too
    if _identity(folder) in {_identity(path) for path in (root, *root.parents)}:
        return "is the project or holds it, and a live run would overwrite its results"
    for path in sorted(root.iterdir()):
        if _is_part(path.name) and _identity(path) in identities:
            return f"lies in {path.name}, a part of the project that a live run must not write to"
    if folder.is_relative_to(root) and _is_part(name := folder.relative_to(root).parts[0]):
        return f"lies in {name}, a part of the project that a live run must not write to"
    found = sorted(OVERWRITTEN & {path.name.casefold() for path in folder.iterdir()}) if folder.exists() else []
    if found and not any(folder.glob(MARK)):
        return f"holds {', '.join(found)}, which no live run has left there and which would be overwritten"
    return ""


def _is_part(name: str) -> bool:
    return name.startswith(".") or name.casefold() in PARTS


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what a file system knows a folder by; None: it does not exist."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
