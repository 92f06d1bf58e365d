"""URLs as they may be shown: no user, password or query, which can hold a token."""

import re
from urllib.parse import urlsplit

from pipeline.config.secrets import SHAPES

LOGIN = re.compile(rf"{SHAPES['a user and a password in a URL']}|(?<=://)[^\s/?#@]*@")


def login_of(url: str) -> str:
    """Return the user and password of a URL, without the @ that ends them."""
    found = LOGIN.search(url)
    return found[0][:-1] if found else ""


def without_credentials(url: str) -> str:
    """Return the URL without user, password and query."""
    shown = LOGIN.sub("", url, count=1)  # first: to a URL's grammar a password with / # ? [ is none
    parts = urlsplit(shown)
    if not parts.netloc:  # a file's, in which slashes count
        return shown.partition("?")[0]
    return parts._replace(query="").geturl()


def redacted(text: str, url: str) -> str:
    """Return a text, a library's error say, without the user and password that stand in the URL."""
    return text.replace(f"{login}@", "") if (login := login_of(url)) else text
