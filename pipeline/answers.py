"""Write predictions as a table, as lines, as CSV or as JSON, and score those whose class is known."""

import csv
import json
import textwrap
from collections.abc import Sequence
from typing import Any, TextIO

import numpy as np
from rich.cells import cell_len, chop_cells, set_cell_size

from pipeline.analysis.metrics import exact_interval
from pipeline.config.wording import counted
from pipeline.dataset.names import on_one_line, shown
from pipeline.dataset.photos import Photo
from pipeline.prediction import Prediction, Unreadable, header

TOP = 10  # classes: what a line of a terminal holds
CONFIDENCE = 0.95  # of intervals, as in conf/evaluate/default.yaml
LONGEST = 16  # cells of a class's name in a table
OTHERS = 24  # cells of a table that are kept for further classes, or the reason
GAP = "  "

Answer = Prediction | Unreadable


class Lines:
    """A line for each answer, of any length: what a pipe gets, and what a picture's path can follow."""

    def __init__(self, out: TextIO, classes: list[str], top: int | None) -> None:
        self.out, self.classes, self.top = out, classes, top or TOP

    def add(self, answer: Answer, picture: str = "") -> None:
        """Write an answer. picture: what follows on its line."""
        print(answer.line(self.classes, self.top) + (f"  {picture}" if picture else ""), file=self.out)

    def end(self, tally: "Tally") -> None:
        """Write the score below, if there is one."""
        for sentence in tally.sentences():
            print(sentence, file=self.out)


class Table(Lines):
    """Columns of a fixed width for a terminal: photo, class, probability, next classes."""

    def __init__(self, out: TextIO, classes: list[str], top: int | None, photos: Sequence[Photo], width: int) -> None:
        super().__init__(out, classes, top)
        self.of_class = max(len("class"), *(cell_len(shown(name, LONGEST)) for name in classes))
        widest = max((cell_len(on_one_line(str(photo.path))) for photo in photos), default=0)
        room = width - self.of_class - len("0.000") - OTHERS - 3 * len(GAP)
        self.of_path = max(len("photo"), min(widest, room))
        self.rest = width - self.of_path - len(GAP)
        print(self._row("photo", "class", "prob.", "next" if len(classes) > 1 and self.top > 1 else ""), file=out)

    def add(self, answer: Answer, picture: str = "") -> None:
        """Write an answer; a reason may take several lines."""
        path = kept_end(on_one_line(str(answer.photo.path)), self.of_path)
        if isinstance(answer, Unreadable):
            for line in textwrap.wrap(f"not read: {answer.reason}", self.rest):
                print(f"{set_cell_size(path, self.of_path)}{GAP}{line}", file=self.out)
                path = ""
            return
        first, *others = [(shown(self.classes[i], LONGEST), answer.probabilities[i]) for i in answer.order()[: self.top]]
        room, told = self.rest - self.of_class - len("0.000") - 2 * len(GAP), ""
        for name, probability in others:
            longer = f"{told}{GAP if told else ''}{name} {probability:.3f}"
            if cell_len(longer) > room:
                break
            told = longer
        print(self._row(path, first[0], f"{first[1]:.3f}", told), file=self.out)

    def _row(self, path: str, label: str, probability: str, others: str) -> str:
        cells = [set_cell_size(path, self.of_path), set_cell_size(label, self.of_class), probability, others]
        return GAP.join(cells).rstrip()


class Csv:
    """CSV for other programs: a row for each photo, with a column for each class."""

    def __init__(self, out: TextIO, notes: TextIO, classes: list[str]) -> None:
        self.rows, self.notes, self.classes = csv.writer(out), notes, classes
        self.rows.writerow(header(classes))

    def add(self, answer: Answer, picture: str = "") -> None:
        """Write an answer."""
        self.rows.writerow(answer.row(self.classes))

    def end(self, tally: "Tally") -> None:
        """Write the score to `notes`, as it is no row."""
        for sentence in tally.sentences():
            print(sentence, file=self.notes)


class Json:
    """One JSON document, a line for each photo, written as they come: classes, photos, score."""

    def __init__(self, out: TextIO, classes: list[str], top: int | None) -> None:
        self.out, self.classes, self.top, self.separator = out, classes, top, "\n"
        self.out.write(f'{{"classes": {json.dumps(classes)},\n"photos": [')

    def add(self, answer: Answer, picture: str = "") -> None:
        """Write an answer; without `top` it has the probabilities of all classes in their order."""
        self.out.write(self.separator + json.dumps(self._entry(answer)))
        self.separator = ",\n"

    def end(self, tally: "Tally") -> None:
        """Write the score, null where no photo's class is known, and end the document."""
        self.out.write(f'\n],\n"score": {json.dumps(tally.tree())}}}\n')

    def _entry(self, answer: Answer) -> dict[str, Any]:
        entry: dict[str, Any] = {"path": str(answer.photo.path)}
        if answer.photo.actual is not None:
            entry["actual"] = answer.photo.actual
        if isinstance(answer, Unreadable):
            return entry | {"reason": answer.reason}
        order = answer.order()[: self.top] if self.top else range(len(self.classes))
        probabilities = {self.classes[i]: round(answer.probabilities[i], 6) for i in order}
        return entry | {"class": answer.label, "probability": round(max(answer.probabilities), 6), "probabilities": probabilities}


class Tally:
    """The score of photos whose sub-folders tell their class: counts alone, so that any number of photos takes no memory."""

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.counts = np.zeros((len(classes), len(classes)), np.int64)  # row = actual, column = predicted
        self.unread = self.unknown = 0  # photos that can't be read; that lie in no class's folder

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        if answer.photo.actual is None:
            self.unknown += 1
        elif isinstance(answer, Unreadable):
            self.unread += 1
        else:
            self.counts[self.classes.index(answer.photo.actual), self.classes.index(answer.label)] += 1

    def tree(self) -> dict[str, Any] | None:
        """Return the score as plain values, with intervals of CONFIDENCE; None where it is of no photo."""
        if not self.counts.sum():
            return None
        of_class = {
            self.classes[i]: _share(int(self.counts[i, i]), int(self.counts[i].sum())) for i in np.flatnonzero(self.counts.sum(axis=1))
        }
        whole = _share(int(self.counts.trace()), int(self.counts.sum()))
        return whole | {"confidence": CONFIDENCE, "classes": of_class, "not_read": self.unread, "not_scored": self.unknown}

    def sentences(self) -> list[str]:
        """Return the score in lines of at most 80 cells, for people."""
        if (tree := self.tree()) is None:
            return []
        name_width = max(cell_len(shown(name, LONGEST)) for name in tree["classes"])
        lines = ["", f"accuracy {_told(tree)}, {CONFIDENCE:.0%} interval {_interval(tree)}"]
        lines += [
            f"  {set_cell_size(shown(name, LONGEST), name_width)}  {_told(part)}, {_interval(part)}"
            for name, part in tree["classes"].items()
        ]
        if self.unread:
            lines.append(f"not scored: {counted(self.unread, 'photo')} that can't be read")
        if self.unknown:
            lines.append(f"not scored: {counted(self.unknown, 'photo')} in no folder that is called as a class is")
        return lines


def _share(right: int, photos: int) -> dict[str, Any]:
    low, high = exact_interval(right, photos, CONFIDENCE)
    return {"accuracy": round(right / photos, 6), "interval": [low, high], "right": right, "photos": photos}


def _told(part: dict[str, Any]) -> str:
    return f"{part['accuracy']:.4f} ({part['right']:,} of {part['photos']:,})"


def _interval(part: dict[str, Any]) -> str:
    return "{:.4f} to {:.4f}".format(*part["interval"])


def kept_end(text: str, most: int) -> str:
    """Return a text in at most `most` cells; of a longer one its end, where a path has the file's name."""
    if cell_len(text) <= most:
        return text
    last = chop_cells(text[::-1], most - 1)[0][::-1]
    return f"…{last}"
