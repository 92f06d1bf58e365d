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
    from pipeline.tracking.journal import has_writer, refused, waiting

    before, refused_before = set(waiting(WORKSPACE)), set(refused(WORKSPACE))
    notes = settle(WORKSPACE)
    left = before & set(waiting(WORKSPACE))
    going_on = sum(map(has_writer, left))
    behind = max(0, len(left) - len(notes) - going_on)
    others = f"; of trainings that go on: {going_on}" * bool(going_on) + f"; to come after an earlier one: {behind}" * bool(behind)
    print(f"delivered: {len(before - left)} of {counted(len(before), 'journal')}{others}")
    if refused_before:
        notes += offer_refused(WORKSPACE)
        taken = refused_before - set(refused(WORKSPACE))
        print(f"refused before and taken now: {len(taken)} of {counted(len(refused_before), 'journal')}")
    if notes:
        raise NetworkError("\n".join(note.removeprefix("note: ") for note in notes))


if __name__ == "__main__":
    run_command("deliver", main)
