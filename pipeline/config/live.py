"""What a live run does beside its work: check its config, keep it in the run's folder, warn of changes it does not see.

Nothing of this happens inside DVC, where the configure stage does it, so no stage depends on this file."""

import sys
from pathlib import Path

from pipeline.config.checks import check
from pipeline.config.composition import Tree, dump, known_keys
from pipeline.config.errors import PipelineError
from pipeline.config.lock import unlifted


def begin_live_run(params: Tree, root: Path, folder: Path) -> None:
    """Refuse a config that can't work before anything else happens; write it to the run's folder."""
    try:
        check(params, known_keys(root / "conf", params))
        changes = unlifted(root)
    except PipelineError:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    if changes:
        print(
            f"note: params.yaml holds what conf/ does not: {', '.join(changes)}. This live run goes by conf/; `make params` lifts it there",
            file=sys.stderr,
        )
    (folder / "config.yaml").write_text(dump(params))
