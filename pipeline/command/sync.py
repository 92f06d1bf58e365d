"""Upload the runs that wait for the MLflow store, like `wandb sync`: python -m pipeline.command.sync"""

from pipeline.config.errors import NetworkError
from pipeline.config.paths import WORKSPACE
from pipeline.config.process import no_arguments, run_command
from pipeline.config.wording import counted


def main() -> None:
    """Upload every waiting event log; runs of killed trainings get their true state."""
    no_arguments(main)
    from pipeline.tracking.events import has_writer, refused, waiting
    from pipeline.tracking.sync import sync_refused, sync_waiting

    before, refused_before = set(waiting(WORKSPACE)), set(refused(WORKSPACE))
    notes = sync_waiting(WORKSPACE)
    left = before & set(waiting(WORKSPACE))
    running = sum(map(has_writer, left))
    behind = max(0, len(left) - len(notes) - running)
    others = f"; still running: {running}" * bool(running) + f"; waiting for an earlier one: {behind}" * bool(behind)
    print(f"synced: {len(before - left)} of {counted(len(before), 'event log')}{others}")
    if refused_before:
        notes += sync_refused(WORKSPACE)
        accepted = refused_before - set(refused(WORKSPACE))
        print(f"rejected before and accepted now: {len(accepted)} of {counted(len(refused_before), 'event log')}")
    if notes:
        raise NetworkError("\n".join(note.removeprefix("note: ") for note in notes))


if __name__ == "__main__":
    run_command("sync", main)
