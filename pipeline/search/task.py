"""What a trial's process is told to do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """What a trial's process is to do: one training.

    number: of its row, which may have several. words: overrides; varied: those that are not the same for all points, repeated: those by
    which the trainings of one point differ. against: the second objective, which the training is to return, too."""

    sweep: str
    sweep_id: str
    number: int
    point: int
    words: tuple[str, ...]
    varied: tuple[str, ...]
    repetition: int = 0
    repeated: tuple[str, ...] = ()
    against: str | None = None

    @property
    def name(self) -> str:
        """Its run's name, with its values to four digits."""
        return " ".join((f"{self.sweep}-{self.number}", *map(rounded, (*self.varied, *self.repeated))))

    @property
    def folder(self) -> str:
        """Its folder, below that of the sweep."""
        return f"{self.number}/{self.repetition}" if self.repeated else str(self.number)


def rounded(word: str) -> str:
    """Return an override with a long number to four digits."""
    name, _, value = word.partition("=")
    try:
        return f"{name}={float(value):.4g}" if len(value) > len("0.00001") else word
    except ValueError:  # a name
        return word
