"""How much may come out of an archive: files, bytes, bytes per byte of the archive, counted as they come."""

from dataclasses import dataclass

from pipeline.config.counted import counted
from pipeline.config.errors import DataError
from pipeline.config.schema import Fetch
from pipeline.dataset.progress import Progress

HARMLESS = 100_000_000  # bytes: what unpacks to less may do so at any ratio, a tar of many small files say


@dataclass
class Budget:
    """What an archive may hold, and what of it has come out; raises DataError for more."""

    how: Fetch
    packed: int  # bytes of the archive itself
    progress: Progress
    files: int = 0
    bytes: int = 0

    def spend(self, count: int = 0, files: int = 0) -> None:
        self.bytes += count
        self.files += files
        self.progress.add(count)
        most = self.how.max_ratio * self.packed
        for name, beyond, words in (
            ("max_files", self.files > self.how.max_files, counted(self.how.max_files, "file")),
            ("max_bytes", self.bytes > self.how.max_bytes, f"{self.how.max_bytes} bytes"),
            ("max_ratio", self.bytes > max(most, HARMLESS), f"{self.how.max_ratio:g} times its own {self.packed} bytes"),
        ):
            if beyond:
                raise DataError(f"it holds more than {words}, a bomb maybe; if you trust it raise fetch.{name}")
