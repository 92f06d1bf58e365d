"""What a live run does beside its work: check its config, keep it in the run's folder, warn of changes it does not see.

Nothing of this happens inside DVC, where the configure stage does it, so no stage depends on this file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import HydraException

from pipeline.config.composition import Tree, dump, in_one_line, known_keys
from pipeline.config.conf_files import check_files
from pipeline.config.environment import RESOLVER, reads_environment
from pipeline.config.errors import ConfigError, PipelineError
from pipeline.config.lock import accepted, unlifted
from pipeline.config.origin import Origin, name_of, on_the_command_line
from pipeline.config.secrets import looks_secret, redact, way_out


@contextmanager
def composing(root: Path, words: list[str]) -> Iterator[None]:
    """Surround Hydra: refuse what it must not see, and put what it refuses into the project's words.

    words: the command line without the program's name."""
    refuse_typed(words)
    check_files(root, "params.yaml", "conf.lock")
    try:
        yield
    except Exception as error:  # Hydra's own errors share no base with OmegaConf's and YAML's, and it stumbles over some input
        if isinstance(error, PipelineError) or (isinstance(error, OSError) and not isinstance(error, HydraException)):
            raise
        from pipeline.config.refusals import translated, with_place

        origin = Origin(root, [word for word in words if not word.startswith("-")])
        raise with_place(translated(error, origin) or ConfigError(in_one_line(error)), origin) from error


def refuse_typed(words: list[str]) -> None:
    """Raise ConfigError for a word that looks like a secret, reads the environment, or makes Hydra run a class by its name."""
    for word in words:
        key, _, value = word.partition("=")
        if what := looks_secret(name_of(word), value) or looks_secret("", word):
            raise ConfigError(f"the command line ({redact(key)}=…): the value looks like {what}; {way_out(name_of(word))}")
        if RESOLVER in word:
            raise ConfigError(f"{on_the_command_line(word)}: {reads_environment(name_of(word))}")
        if "hydra.callbacks" in word or "hydra/callbacks" in word or name_of(word) == "hydra":
            raise ConfigError(f"{on_the_command_line(word)}: Hydra would run what this names; no callback is allowed")


@contextmanager
def live_run(tree: Tree, root: Path, folder: Path, typed: list[str]) -> Iterator[Tree]:
    """Check the config, keep it as the run's config.yaml, and yield it resolved; say where a refused key stands, later too."""
    from pipeline.config.refusals import located

    with located(Origin(root, typed, tree=tree)):
        try:
            params = _checked(tree, root)
        except PipelineError:
            if not any(folder.iterdir()):
                folder.rmdir()
            raise
        (folder / "config.yaml").write_text(dump(params))
        yield params


def _checked(tree: Tree, root: Path) -> Tree:
    """Return the config resolved; refuse it where it can't work, and warn of what it does not hold."""
    from pipeline.config.checks.check import check

    params = check(tree, known_keys(root / "conf", tree), accepted(root))
    if changes := unlifted(root):
        told = ", ".join(changes)
        print(
            f"note: params.yaml holds what conf/ does not: {told}. This live run goes by conf/; `make params` lifts it there",
            file=sys.stderr,
        )
    return params
