"""Searches in MLflow by values of any letters: what its filter language can't hold is compared by the caller."""

from collections.abc import Callable, Iterator
from typing import Any


def conditions(wanted: dict[str, str]) -> str:
    """Return a filter for attributes or tags that equal these values, without those that it can't hold.

    MLflow's language has two kinds of quotes and no escape, and some databases compare without case: whoever searches
    compares what is found again."""
    return " and ".join(f"{key} = {quoted}" for key, value in wanted.items() if (quoted := _quoted(value)))


def _quoted(value: str) -> str:
    quote = next((quote for quote in "'\"" if quote not in value), "")
    return f"{quote}{value}{quote}" if quote and "\\" not in value else ""


def every(search: Callable[..., Any], **asked: Any) -> Iterator[Any]:
    """Yield what one of MLflow's searches finds, page after page."""
    token = None
    while True:
        page = search(**asked, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
