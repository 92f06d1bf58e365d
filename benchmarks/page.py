"""benchmarks/README.md: a section for each benchmark, written by it."""

import re
import sys
from pathlib import Path

PAGE = Path(__file__).with_name("README.md")


def publish(title: str, command: str, text: str) -> None:
    """Put a section in place of the one of the same title, or at the end; print it."""
    section = f"## {title}\n\n`{command}`\n\n{text.strip()}\n"
    page = PAGE.read_text()
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    page = page.replace(found[0], section + "\n") if found else f"{page.rstrip()}\n\n{section}"
    PAGE.write_text(page.rstrip() + "\n")
    sys.stdout.write(section)
