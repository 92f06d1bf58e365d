"""URLs as they may be shown: no user, password or query, which can hold a token."""

from urllib.parse import urlsplit


def without_credentials(url: str) -> str:
    """Return the URL without user, password and query."""
    parts = urlsplit(url)
    if not parts.netloc:  # a file's, in which slashes count
        return url.partition("?")[0]
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def redacted(text: str, url: str) -> str:
    """Return a text, a library's error say, without the user and password that stand in the URL."""
    user, at, _ = urlsplit(url).netloc.rpartition("@")
    return text.replace(user + at, "") if at else text
