"""Archives that tests make, good ones and bad ones."""

import io
import tarfile
import zipfile
from pathlib import Path

Files = dict[str, bytes]


def zipped(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tar_bytes(files: Files, *others: tarfile.TarInfo, layout: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar of files and, behind them, of members without data: links, devices."""
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w", format=layout) as archive:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
            for other in others:
                archive.addfile(other)
        return stream.getvalue()
