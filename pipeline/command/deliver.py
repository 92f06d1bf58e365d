"""Bring into MLflow what trainings had to tell while its store was away: python -m pipeline.command.deliver"""

from pipeline.config.arguments import no_arguments
from pipeline.config.counted import counted
from pipeline.config.entry import run_command
from pipeline.config.errors import NetworkError
from pipeline.config.places import WORKSPACE


def main() -> None:
    """Deliver every journal that waits; runs whose training was killed get their true state."""
    no_arguments(main)
    from pipeline.tracking.delivery import offer_refused, settle
    from pipeline.tracking.journal import waiting

    before = len(waiting(WORKSPACE))
    notes = settle(WORKSPACE)
    print(f"delivered: {before - len(notes)} of {counted(before, 'journal')}")
    offer_refused(WORKSPACE)
    if notes:
        raise NetworkError("\n".join(notes))


if __name__ == "__main__":
    run_command("deliver", main)
