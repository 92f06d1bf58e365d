"""Deprecated alias of pipeline.command.sync, removed in the next release: python -m pipeline.command.deliver"""

from pipeline.command import sync
from pipeline.config.process import no_arguments, run_command
from pipeline.tracking.faults import note


def main() -> None:
    """Upload every waiting event log; the old name of `python -m pipeline.command.sync`."""
    no_arguments(main)
    note("this command is now `python -m pipeline.command.sync`; the old name goes with the next release")
    sync.main()


if __name__ == "__main__":
    run_command("deliver", main)
