"""A network's layers as plain text: a line for each, what they add up to, and what the sizes bring with them."""

from collections.abc import Iterator

from pipeline.config.counted import counted
from pipeline.model.rows import Memory, Row, Summary

HEADINGS = ("layer", "kind", "output", "window", "weights", "biases", "MACs", "field", "step")
LEFT = 4  # columns of words, at the left; those of numbers stand at the right


def layer_table(summary: Summary, batch_size: int) -> str:
    """Return the table and what follows from it. MACs: multiplications with additions of one image; field and step in pixels."""
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
        yield f"{outside:,} of the parameters stand in layers that take part in training alone, which have no row"
    yield _memory(summary.memory(batch_size), batch_size)
    yield from (f"note: {note}" for note in summary.notes)
    yield from (f"remark: {remark}" for remark in summary.remarks)


def shape(sizes: tuple[int, ...]) -> str:
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
    return f"a training step of {counted(batch_size, 'image')} needs {mib(memory.whole)} MiB: {kinds}"


def mib(count: int) -> str:
    size = count / 2**20
    return f"{size:,.0f}" if size >= 100 else f"{size:.1f}"
