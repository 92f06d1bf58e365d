"""Pictures made byte by byte, where no library writes what a test needs."""

import io
import struct
import zlib

from PIL import Image

GRAY, RGB, GRAY_ALPHA, RGBA = 0, 2, 4, 6  # PNG's colour types

# In which pass of an interlaced PNG each pixel of an 8 x 8 block comes (PNG specification, 8.2).
_ODD = [7] * 8
ADAM7 = [[1, 6, 4, 6, 2, 6, 4, 6], _ODD, [5, 6] * 4, _ODD, [3, 6, 4, 6, 3, 6, 4, 6], _ODD, [5, 6] * 4, _ODD]


def png(width: int, height: int, depth: int, kind: int, rows: bytes, transparent: bytes = b"", interlaced: int = 0) -> bytes:
    """Return a PNG of these rows, each beginning with its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced)
    middle = _chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + middle + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def tiff(width: int, height: int, depth: int, values: bytes, photometric: int = 1, sample_format: int = 1, pages: int = 1) -> bytes:
    """Return a little-endian gray TIFF in one strip, whose pages all show the same values."""
    entries = [(256, 3, width), (257, 3, height), (258, 3, depth), (259, 3, 1), (262, 3, photometric), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 3, height), (279, 4, len(values)), (339, 3, sample_format)]
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    first = 8 + len(values)
    chain = [first + (len(body) + 4) * page for page in range(1, pages)] + [0]
    return b"II*\0" + struct.pack("<I", first) + values + b"".join(body + struct.pack("<I", following) for following in chain)


def gif(width: int, height: int, frames: int) -> bytes:
    """Return a GIF that declares this size and holds frames of one pixel."""
    frame = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame * frames + b";"


def progressive(scans: int) -> bytes:
    """Return a JPEG whose last scan stands there again and again."""
    stream = io.BytesIO()
    Image.new("L", (16, 16), 77).save(stream, "JPEG", progressive=True)
    whole = stream.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + whole[-2:]
