"""Errors of MLflow, its databases and servers as one sentence with the remedy instead of a traceback; notes on stderr.

Errors are recognised by the names of their modules, so that none of these packages has to be imported."""

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from pipeline.config.errors import NetworkError, PipelineError
from pipeline.config.secrets import redact, redacted, without_credentials

LIBRARIES = ("mlflow", "sqlalchemy", "alembic", "sqlite3", "requests", "urllib3", "botocore", "boto3", "s3transfer", "google", "azure")
PACKAGES = {  # module -> its pip name, where they differ
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "google": "google-cloud-storage",
    "azure": "azure-storage-blob",
}
LOGIN = "log in by the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
ADDRESS = "check whether it is MLflow's, and what it needs as a login: tracking.uri, or MLFLOW_TRACKING_URI"
AWS = "give them by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; MLFLOW_S3_ENDPOINT_URL names a store that is not AWS's"
SENTENCES = {  # pattern in the error's text -> what is wrong and how to fix it; the first match counts
    r"database is locked|database table is locked": "its database is locked by another process; end that one, or repeat when it is done",
    r"readonly database|unable to open database file|Permission denied|Read-only file system": (
        "it can't be written to; give this user write access to its files and folders (mlflow.db, mlruns)"
    ),
    r"disk is full|No space left|Disk quota exceeded": "its disk is full; free some space and repeat",
    r"disk image is malformed|file is not a database": (
        "its file is no whole database; put a backup of mlflow.db in its place, or move it away"
    ),
    r"out-of-date database schema|Can't locate revision": (
        "its tables are those of another version of MLflow; `mlflow db upgrade URI` brings older ones up to date"
    ),
    r"Can't load plugin: sqlalchemy\.dialects|Could not parse (SQLAlchemy )?URL|[Uu]nsupported URI|Invalid port": (
        "its address can't be read; tracking.uri, or MLFLOW_TRACKING_URI, is sqlite:///FILE, postgresql://…, mysql+pymysql://… or http://…"
    ),
    r"NoCredentials|Unable to locate credentials|PartialCredentials|InvalidAccessKeyId|SignatureDoesNotMatch": (
        f"its artifacts need credentials; {AWS}"
    ),
    r"CERTIFICATE_VERIFY_FAILED|certificate verify failed": (
        "its certificate is not trusted here; name the authority's file by MLFLOW_TRACKING_SERVER_CERT_PATH, or check the address"
    ),
    r"SSLError|WRONG_VERSION_NUMBER|SSL:": "it does not speak TLS as asked; check whether tracking.uri begins with http:// or https://",
    r"(error code|HTTP|Error) 401|UNAUTHENTICATED|not authenticated": f"it asks for a login (401); {LOGIN}",
    r"(error code|HTTP|Error) 403|PERMISSION_DENIED|Permission denied|AccessDenied": f"it refuses this user (403); {LOGIN}",
    r"error code 404": f"its address has no MLflow (404); {ADDRESS}",
    r"not in a valid JSON format|<!doctype|<html": f"it answers with a page; {ADDRESS}",
    r"error code 30\d|TooManyRedirects": f"it sends elsewhere; {ADDRESS}",
    r"password authentication failed|Access denied for user": "it refuses this user; check the user and password in MLFLOW_TRACKING_URI",
    r"too many 50\d error responses|error code 50\d": "its server answers that it is not available; repeat when it is",
    r"Max retries exceeded|Connection aborted": "its server does not answer, or ends the connection; repeat when it runs",
}
LONGEST = 200  # characters of an error without a sentence


class Refused(Exception):
    """MLflow rejects a part of a run."""


@contextmanager
def store_may_be_away(uri: str = "") -> Iterator[None]:
    """Raise errors of the store's libraries as NetworkError. uri: the store's; its user and password are never shown."""
    try:
        yield
    except PipelineError:
        raise
    except Exception as error:
        if not is_of_store(error):
            raise
        raise NetworkError(f"the MLflow store {f'{without_credentials(uri)} ' * bool(uri)}can't be used: {sentence(error, uri)}") from None


def is_of_store(error: Exception) -> bool:
    """Return whether an error comes from the store, its disk or the network rather than from a bug of ours."""
    modules = (kind.__module__.partition(".")[0] for kind in type(error).__mro__)
    return isinstance(error, OSError | ImportError) or any(module in LIBRARIES for module in modules)


def sentence(error: Exception, uri: str = "") -> str:
    """Return what is wrong with the store and how to fix it, on one line without secrets."""
    if isinstance(error, ImportError):
        module = (error.name or "").partition(".")[0]
        return f"it needs the package {module}, which is not installed; `pip install {PACKAGES.get(module, module)}`"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full; free some space and repeat"
    text = f"{type(error).__name__}: {error}"
    if known := next((words for shape, words in SENTENCES.items() if re.search(shape, text)), None):
        return known
    first = re.split(r"\n|\[SQL|\(Background on", str(error).strip() or type(error).__name__)[0]
    return redact(redacted(first, uri)).strip()[:LONGEST]


def is_refusal(error: Exception) -> bool:
    """Return whether MLflow has rejected a call for good, so that a retry is useless."""
    if isinstance(error, PipelineError):
        return False
    if isinstance(error, Refused | ValueError | TypeError) and not is_of_store(error):  # raised by its client for an invalid value
        return True
    code = getattr(error, "error_code", None)
    if code == "BAD_REQUEST":  # from the database: an invalid value, or a fault of its own
        return bool(re.search(r"IntegrityError|DataError", str(error)))
    status = getattr(getattr(error, "response", None), "status_code", None)
    return code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST") or status in (400, 413)


def note(words: str) -> None:
    """Print "note: …" on stderr, which keeps stdout clean for other programs."""
    print(f"note: {words}", file=sys.stderr)


@cache
def note_once(words: str) -> None:
    """Print a note once per process."""
    note(words)
