"""Stage 1: conf/ → params.yaml and conf.lock.

Started by `dvc repro`, `dvc exp run` and `make params`; it is what makes these and live runs share one baseline."""

import os
from pathlib import Path

from pipeline.config.above import told_above
from pipeline.config.arguments import no_arguments
from pipeline.config.configure import configure
from pipeline.config.entry import run_command
from pipeline.config.errors import ConfigError
from pipeline.config.lock import Lock
from pipeline.config.merges import is_shallow
from pipeline.config.places import WORKSPACE


def main() -> None:
    """Lift hand edits of params.yaml into conf/local/, compose conf/, check it, write params.yaml and conf.lock."""
    no_arguments(main)
    try:
        lines = configure(WORKSPACE, in_experiment="DVC_EXP_NAME" in os.environ)
    except ConfigError as error:
        if Path(os.environ.get("DVC_ROOT", WORKSPACE)) == WORKSPACE:
            raise
        hint = "A queued experiment has only the files that git tracks: `git add` new ones, then queue it again"
        raise ConfigError(f"{error}. {hint}") from error
    print("\n".join(lines) or "params.yaml and conf/ agree")
    home = Path(os.environ.get("DVC_ROOT", WORKSPACE))
    if home != WORKSPACE and is_shallow(home):
        print("note: this clone is shallow, and DVC loses what it runs in a copy, without a word; type `git fetch --unshallow` first")
    if line := told_above(Lock.read(WORKSPACE / "conf.lock")):
        print(line)


if __name__ == "__main__":
    run_command("configure", main)
