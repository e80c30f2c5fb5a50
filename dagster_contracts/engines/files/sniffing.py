"""What kind of content a file has, from its first bytes, and what its name promises. Names are those of IANA where it has one."""

from __future__ import annotations

import codecs
import re
from mimetypes import MimeTypes
from pathlib import PurePosixPath

HEAD = 8192  # bytes that are looked at
EMPTY, BINARY, TEXT = "inode/x-empty", "application/octet-stream", "text/plain"

RASTER = frozenset(
    f"image/{kind}"
    for kind in [
        *("png", "jpeg", "gif", "webp", "tiff", "bmp", "vnd.microsoft.icon", "avif", "jp2"),
        *("x-portable-bitmap", "x-portable-graymap", "x-portable-pixmap"),
    ]
)  # images of pixels, which are decoded

# At the start of the file; the longer one first where two begin alike.
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"\x00\x00\x01\x00", "image/vnd.microsoft.icon"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"{\\rtf", "application/rtf"),
    (b"PK\x03\x04", "application/zip"),
    (b"PK\x05\x06", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"(\xb5/\xfd", "application/zstd"),
    (b"7z\xbc\xaf'\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"ARROW1\x00\x00", "application/vnd.apache.arrow.file"),
    (b"Obj\x01", "application/avro"),
    (b"ORC", "application/x-orc"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (b"\x89HDF\r\n\x1a\n", "application/x-hdf5"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"OggS", "application/ogg"),
    (b"\x1aE\xdf\xa3", "video/x-matroska"),
    (b"\x7fELF", "application/x-elf"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\x00asm", "application/wasm"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/x-wav", b"AVI ": "video/x-msvideo"}
_FTYP = {b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"mif1": "image/heif", b"qt  ": "video/quicktime"}
_MARKUP = ((b"<!doctype html", "text/html"), (b"<html", "text/html"), (b"<svg", "image/svg+xml"), (b"<?xml", "text/xml"))
_PORTABLE = re.compile(rb"P[1-6]\s")
_PORTABLES = ("bitmap", "graymap", "pixmap")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b")) + b"\x7f"
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BY_NAME = MimeTypes()  # the table that comes with Python: what is installed on a machine decides nothing
_BY_NAME.add_type("application/vnd.apache.parquet", ".parquet")
_BY_NAME.add_type("application/x-ndjson", ".jsonl")
_BY_NAME.add_type("application/x-ndjson", ".ndjson")


def mime_type(head: bytes) -> str:
    """The type that the first bytes (at least HEAD of them, or all) show. Never fails: what is nothing known is text or binary."""
    if not head:
        return EMPTY
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], BINARY)
    if head[4:8] == b"ftyp":
        return _FTYP.get(head[8:12], "video/mp4")
    if head[257:262] == b"ustar":
        return "application/x-tar"
    if head[:2] == b"BM" and head[6:10] == b"\x00\x00\x00\x00":
        return "image/bmp"
    if _PORTABLE.match(head):
        return f"image/x-portable-{_PORTABLES[(head[1] - ord('1')) % 3]}"
    return _text_type(head) if _is_text(head) else BINARY


def is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in ("image/svg+xml", "application/json", "application/rtf", "application/postscript")


def extension(name: str) -> str | None:
    """What follows the last dot of a file's name, in lower case; None where there is none."""
    return PurePosixPath(name).suffix[1:].lower() or None


def promised_type(name: str) -> str | None:
    """The type that the name stands for; that of the packing where the file is packed. None where it is not known."""
    kind, packing = _BY_NAME.guess_type(f"x{PurePosixPath(name).suffix.lower()}", strict=False)
    packed = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
    return packed.get(packing, BINARY) if packing else kind


def _text_type(head: bytes) -> str:
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()[:256].lower()
    for sign, kind in _MARKUP:
        if start.startswith(sign):
            return "image/svg+xml" if kind == "text/xml" and b"<svg" in head[:1024].lower() else kind
    return TEXT


def utf_16_without_mark(head: bytes) -> str | None:
    """UTF-16 of mostly Latin text shows in that every other byte is 0."""
    pairs = len(head) // 2
    if pairs < 2 or b"\x00" not in head:
        return None
    first, second = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if second > 0.5 * pairs and not first:
        return "utf-16-le"
    return "utf-16-be" if first > 0.5 * pairs and not second else None


def _is_text(head: bytes) -> bool:
    if head.startswith(_MARKS) or utf_16_without_mark(head):
        return True
    return b"\x00" not in head and len(head) - len(head.translate(None, _CONTROLS)) <= len(head) / 100
