"""Stage 1: conf/ → params.yaml and conf.lock.

Run by `dvc repro`, `dvc exp run` and `make params`, so that these and live runs share one baseline."""

import os
from pathlib import Path

from pipeline.config.errors import ConfigError
from pipeline.config.merges import is_shallow
from pipeline.config.params_lock import Lock
from pipeline.config.paths import WORKSPACE
from pipeline.config.process import no_arguments, run_command
from pipeline.config.sync import configure


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
    if line := Lock.read(WORKSPACE / "conf.lock").told():
        print(line)


if __name__ == "__main__":
    run_command("configure", main)
