"""What looks like a secret never reaches params.yaml, MLflow, a log or an error text. Secrets come by the environment."""

import os
import re
from typing import Any
from urllib.parse import urlsplit

TRACKING = "MLFLOW_TRACKING_URI, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"

HIDDEN = "***"

# A key, an option or an environment variable that is named so holds one.
WHOLE = r"(?:access|auth|refresh|session)?[_-]?token|credentials?|(?:api|access|account|private)[_-]?key"
NAME = rf"(?:[\w.-]*(?:password|passwd|passphrase|secret|secret[_-]?key)|(?:[\w.-]*[_.-])?(?:{WHOLE}))"

QUERY = "token|key|apikey|sig|signature|secret|password|pwd|credential"

# Of a web page's address, http://host:8/a@b, a number is the port and an @ the path's; a database's password may hold / ? #.
PAGE = r"(?:(?<=http://)|(?<=https://))[^\s/?#@:'\"]{0,200}:\d{1,5}(?:[/?#\s'\"]|$)"

# Quantifiers are bounded, so that no text takes long to search.
SHAPES = {
    "a user and a password in a URL": rf"(?<=://)(?!{PAGE})[^\s/?#@:'\"]{{0,200}}:\S{{0,300}}@",
    "a token in a URL": r"(?<=://)[^\s/?#@:'\"]{20,200}@",
    "a token or key in a URL's query": rf"(?i)(?<=[?&#;])(?:[\w-]{{0,60}}[_-])?(?:{QUERY})=[^\s&'\"]{{1,2000}}",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "an AWS secret": r"(?<![\w/+-])(?=\S{0,39}[A-Z])(?=\S{0,39}[a-z])(?=\S{0,39}\d)[A-Za-z0-9/+]{40}(?![\w/+=-])",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{16,255}|github_pat_\w{16,255})",
    "a GitLab token": r"\bgl(?:pat|dt|rt|cbt|ptt)-[\w-]{16,255}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{16,255}",
    "an API key": r"\b(?:sk-[\w-]{16,255}|AIza[\w-]{30,60}|npm_[A-Za-z0-9]{30,60}|pypi-[\w-]{16,255}|[sr]k_live_\w{16,255})",
    "a Slack token": r"\bxox[a-z]-[\w-]{10,255}",
    "a JSON web token": r"\beyJ[\w-]{8,4000}\.[\w-]{8,4000}(?:\.[\w-]{0,4000})?",
    "a private key": r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]{0,20000}?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
    "a login in a header": r"(?i)\b(?:bearer|basic)\s+[\w.~+/=-]{12,4000}",
}
PATTERNS = {what: re.compile(shape) for what, shape in SHAPES.items()}
LOGIN = re.compile(rf"{SHAPES['a user and a password in a URL']}|(?<=://)[^\s/?#@]*@")
NAMED = re.compile(rf"(?i)^{NAME}$")
VALUE = r"'[^'\n]{0,2000}'|\"[^\"\n]{0,2000}\"|[^\s,;})\]]{1,2000}"
ASSIGNED = re.compile(rf"(?i)(?<![\w.-])({NAME})(['\"]?[ \t]*[=:][ \t]*)(?!null\b|none\b)({VALUE})")


def looks_secret(key: str, value: Any) -> str | None:
    """Return the kind of secret that a value looks like, None for any other; never the value itself. key: its dotted key."""
    if not isinstance(value, str):
        return None
    if value and NAMED.match(key.rpartition(".")[2]):
        return "a secret by its name"
    return next((what for what, pattern in PATTERNS.items() if pattern.search(value)), None)


def refusal(key: str, what: str) -> str:
    """Return the message for a value that looks like a secret, with the way to give it instead."""
    return f"{key} holds what looks like {what}, which would end up in git and in MLflow; {way_out(key)}"


def way_out(key: str) -> str:
    """Return how a secret is given that would have been the value of `key`."""
    if key.startswith("tracking"):
        return f"give it by the environment: {TRACKING}"
    if key.startswith("dataset"):
        return "fetch the files once by other means and name file://…"
    if key.startswith("weights"):
        return "fetch the file once by other means and give its path"
    return "no stage reads it here; give it to the tool that needs it, by the environment"


def redact(text: str) -> str:
    """Return a text, a library's error say, without what looks like a secret and without those of the environment."""
    for value in _of_environment():
        text = text.replace(value, HIDDEN)
    for what, pattern in PATTERNS.items():
        text = pattern.sub(f"{HIDDEN}@" if "in a URL" in what and "query" not in what else HIDDEN, text)
    return ASSIGNED.sub(rf"\1\2{HIDDEN}", text)


def _of_environment() -> list[str]:
    return sorted((value for name, value in os.environ.items() if NAMED.match(name) and len(value) >= 6), key=len, reverse=True)


def login_of(url: str) -> str:
    """Return the user and password of a URL, without the @ that ends them."""
    found = LOGIN.search(url)
    return found[0][:-1] if found else ""


def without_credentials(url: str) -> str:
    """Return a URL as it may be shown: without user, password and query, which can hold a token."""
    shown = LOGIN.sub("", url, count=1)  # first: to a URL's grammar a password with / # ? [ is none
    parts = urlsplit(shown)
    if not parts.netloc:  # a file's, in which slashes count
        return shown.partition("?")[0]
    return parts._replace(query="").geturl()


def redacted(text: str, url: str) -> str:
    """Return a text, a library's error say, without the user and password that stand in the URL."""
    return text.replace(f"{login}@", "") if (login := login_of(url)) else text
