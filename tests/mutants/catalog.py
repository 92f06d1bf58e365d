"""The catalog of mutants: small realistic bugs, each with the default tests that ought to fail on it.

One YAML file for each folder of pipeline/, a list of entries:

- bug: what is wrong, in words
  file: pipeline/…       the source file
  old: …                 the text to replace; it stands in the file exactly once
  new: …                 the bug
  tests: […]             the test files, or file::test, that ought to notice
  survives: …            only for a mutant that no test can notice: why"""

from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    bug: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    survives: str = ""

    @property
    def folder(self) -> str:
        """The part of pipeline/ that the mutant is counted under."""
        return Path(self.file).parts[1].removesuffix(".py")

    def applied_to(self, root: Path) -> str:
        """Return the mutated source. Raises ValueError where the text does not stand in the file exactly once."""
        source = (root / self.file).read_text()
        if (count := source.count(self.old)) != 1:
            raise ValueError(f"{self.file} has the text of the mutant '{self.bug}' {count} times, expected once: {self.old!r}")
        return source.replace(self.old, self.new)


def catalog() -> list[Mutant]:
    """Return all mutants, file by file."""
    entries = [entry for path in sorted(HERE.glob("*.yaml")) for entry in yaml.safe_load(path.read_text())]
    return [Mutant(**{**entry, "tests": tuple(entry["tests"])}) for entry in entries]
