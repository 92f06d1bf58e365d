"""A page of the tour: paragraphs, pictures and tables in their order, written as Markdown."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from tour.material import Material

THUMBNAIL = (300, 200)  # pixels, at most
COLUMNS = 3  # of the index
COLOURS = 255  # of a stored picture: a palette is a third of the size
VISIBLE = 2.0  # of 255, root mean square: what a palette may change before smooth gradients fall into bands


@dataclass(frozen=True)
class Picture:
    name: str  # of its file, within its page
    caption: str
    draw: Callable[[Path], None]


@dataclass(frozen=True)
class Table:
    head: Sequence[str]
    rows: Sequence[Sequence[object]]


Block = str | Picture | Table


@dataclass(frozen=True)
class Page:
    name: str  # of its files
    title: str
    about: str  # what the index says of it
    body: Callable[[Material], list[Block]]


def write_page(folder: Path, pages: Sequence[Page], index: int, material: Material) -> None:
    """Write one of the pages with its pictures, and the thumbnail of its first picture for the index."""
    page = pages[index]
    text, drawn = [f"# {index + 1}. {page.title}"], []
    for block in page.body(material):
        if isinstance(block, Picture):
            drawn.append(folder / f"{stem(index, page)}-{block.name}.png")
            block.draw(drawn[-1])
            shrink(drawn[-1])
            text.append(f"![{block.caption}]({drawn[-1].name})\n\n*{block.caption}*")
        else:
            text.append(markdown(block) if isinstance(block, Table) else block)
    text.append(links(pages, index))
    (folder / f"{stem(index, page)}.md").write_text(numbered("\n\n".join(text), pages) + "\n")
    with Image.open(drawn[0]) as picture:
        small = picture.convert("RGB")
        small.thumbnail(THUMBNAIL)
        small.quantize(COLOURS).save(folder / f"thumbnail-{stem(index, page)}.png", optimize=True)


def write_index(folder: Path, pages: Sequence[Page], heading: str, about: str) -> None:
    """Write README.md, which shows every page by its thumbnail."""
    cells = [
        f"[![{page.title}](thumbnail-{stem(index, page)}.png)]({stem(index, page)}.md)<br>"
        f"**[{index + 1}. {page.title}]({stem(index, page)}.md)**<br>{page.about}"
        for index, page in enumerate(pages)
    ]
    cells += [""] * (-len(cells) % COLUMNS)
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    (folder / "README.md").write_text(f"# {heading}\n\n{about}\n\n{markdown(Table([''] * COLUMNS, rows))}\n")


def numbered(text: str, pages: Sequence[Page]) -> str:
    """Return the text with its references, "[page](sizes)", as links with the page's number. Raises KeyError for a page that is none."""
    places = {page.name: index for index, page in enumerate(pages)}

    def link(found: re.Match[str]) -> str:
        index = places[found["name"]]
        return f"[{found['word']} {index + 1}]({stem(index, pages[index])}.md)"

    return re.sub(r"\[(?P<word>[Pp]age)\]\((?P<name>[\w-]+)\)", link, text)


def markdown(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def links(pages: Sequence[Page], index: int) -> str:
    """Return the way to the page before, the index and the page after."""
    before = f"[← {pages[index - 1].title}]({stem(index - 1, pages[index - 1])}.md)" if index else ""
    after = f"[{pages[index + 1].title} →]({stem(index + 1, pages[index + 1])}.md)" if index + 1 < len(pages) else ""
    return "---\n\n" + " · ".join(filter(None, [before, "[all pages](README.md)", after]))


def stem(index: int, page: Page) -> str:
    return f"{index + 1:02}-{page.name}"


def shrink(path: Path) -> None:
    """Store a picture with a palette of its own, unless bands would be seen in it."""
    with Image.open(path) as picture:
        colours = picture.convert("RGB")
    small = colours.quantize(COLOURS)
    error = ImageStat.Stat(ImageChops.difference(colours, small.convert("RGB"))).rms
    (small if max(error) < VISIBLE else colours).save(path, optimize=True)
