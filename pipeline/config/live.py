"""What a live run does beside its work: check its config, warn of changes it does not see.

Nothing of this happens inside DVC, where the configure stage does it, so no stage depends on this file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException

from pipeline.config.composition import Tree, in_one_line, known_keys
from pipeline.config.conf_files import check_files
from pipeline.config.documents import LOCAL
from pipeline.config.environment import RESOLVER, reads_environment
from pipeline.config.errors import ConfigError, PipelineError
from pipeline.config.lock import accepted
from pipeline.config.order import settled
from pipeline.config.origin import Origin, name_of, on_the_command_line
from pipeline.config.overrides import Overrides
from pipeline.config.pending import unlifted
from pipeline.config.secrets import looks_secret, redact, way_out


@contextmanager
def composing(root: Path, words: list[str]) -> Iterator[None]:
    """Surround Hydra: refuse what it must not see, and put what it refuses into the project's words.

    words: the command line without the program's name."""
    typed = refuse_typed(words)
    check_files(root, "params.yaml", "conf.lock")
    try:
        yield
    except Exception as error:  # Hydra's own errors share no base with OmegaConf's and YAML's, and it stumbles over some input
        if isinstance(error, PipelineError) or (isinstance(error, OSError) and not isinstance(error, HydraException)):
            raise
        from pipeline.config.refusals import translated, with_place

        origin = Origin(root, typed)
        raise with_place(translated(error, origin) or ConfigError(in_one_line(error)), origin) from error


def refuse_typed(words: list[str]) -> list[str]:
    """Raise ConfigError for a word that looks like a secret, reads the environment, or makes Hydra run what it names.

    Return the overrides among the words, which are no options of Hydra's and no values of these."""
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
    """Check the config and yield it resolved; say where a refused key stands, later too.

    is_job: it is one of a sweep, which has warned for all."""
    from pipeline.config.checks.check import check
    from pipeline.config.refusals import located

    origin = Origin(root, typed, tree=tree)
    with located(origin):
        try:
            origin.tree = tree = ordered(tree, root)
            params = check(tree, known_keys(root / "conf", tree), accepted(root))
        except PipelineError:
            if not any(folder.iterdir()):
                folder.rmdir()
            raise
        if not is_job:
            warn_of_unlifted(root)
        yield params


def ordered(tree: Tree, root: Path) -> Tree:
    """Return a live run's config with the reserved words applied; what it adds above an order of the overrides comes last."""
    return settled(tree, Overrides.read(root / LOCAL).orders)


def warn_of_unlifted(root: Path) -> None:
    """Say what a live run does not hold that params.yaml does."""
    if changes := unlifted(root):
        told = ", ".join(changes)
        print(
            f"note: params.yaml holds what conf/ does not: {told}. This live run goes by conf/; `make params` lifts it there",
            file=sys.stderr,
        )
