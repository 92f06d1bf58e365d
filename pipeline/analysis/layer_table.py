"""A network's layer table as plain text: a line per layer, the totals, notes and warnings."""

from collections.abc import Iterator

from pipeline.config.wording import counted
from pipeline.model.layer_rows import Memory, Row, Summary

HEADINGS = ("layer", "kind", "output", "window", "weights", "biases", "MACs", "field", "step")
LEFT = 4  # columns of words, aligned left; numbers are aligned right


def layer_table(summary: Summary, batch_size: int) -> str:
    """Return the table and the sentences below it. MACs: multiply-accumulates per image; field and step in pixels."""
    cells = [HEADINGS, ("image", "", shape(summary.image), "", "", "", "", "1", "1"), *(_cells(row) for row in summary.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join([*(_line(row, widths) for row in cells), "", *told(summary, batch_size)]) + "\n"


def told(summary: Summary, batch_size: int) -> Iterator[str]:
    """Yield the sentences below the table."""
    trained = "all trained" if summary.trainable == summary.parameters else f"{summary.trainable:,} of them trained"
    yield (
        f"{counted(summary.parameters, 'parameter')}, {trained}; {counted(summary.buffers, 'buffer value')}; "
        f"{counted(summary.macs, 'MAC')} an image"
    )
    if outside := summary.parameters - sum(row.parameters for row in summary.rows):
        yield f"{outside:,} of the parameters are in layers used only in training, which have no row"
    yield _memory(summary.memory(batch_size), batch_size)
    yield from (f"note: {note}" for note in summary.notes)
    yield from (f"warning: {warning}" for warning in summary.warnings)


def shape(sizes: tuple[int, ...]) -> str:
    """Return "3×32×32"."""
    return "×".join(map(str, sizes))


def _cells(row: Row) -> tuple[str, ...]:
    counts = (f"{count:,}" if count else "" for count in (row.weights, row.biases, row.macs))
    return (row.name, row.kind, shape(row.output), row.window, *counts, str(row.field), str(row.step))


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    pairs = list(zip(cells, widths, strict=True))
    words = [f"{cell:<{width}}" for cell, width in pairs[:LEFT]] + [f"{cell:>{width}}" for cell, width in pairs[LEFT:]]
    return "  ".join(words).rstrip()


def _memory(memory: Memory, batch_size: int) -> str:
    kinds = ", ".join(f"{name} {mib(getattr(memory, name))}" for name in ("weights", "gradients", "optimizer", "activations"))
    return f"a training step of {counted(batch_size, 'image')} needs {mib(memory.total)} MiB: {kinds}"


def mib(count: int) -> str:
    """Return bytes in MiB: "12.3", or whole from 100 on."""
    size = count / 2**20
    return f"{size:,.0f}" if size >= 100 else f"{size:.1f}"
