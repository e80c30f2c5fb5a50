"""The table of a set of files: what each column says of sound, broken and strange files, and what it costs."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import threading
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from dagster_contracts.engines.files import documents, images
from dagster_contracts.engines.files.documents import COLUMNS, FileTable
from dagster_contracts.engines.files.places import files_of
from dagster_contracts.engines.files.sniffing import mime_type, promised_type
from dagster_contracts.engines.files.texts import language
from tests.engines.sets import ENGLISH, GERMAN, JAPANESE, POLISH, RUSSIAN, picture, write


def rows(place: Path, *columns: str) -> dict[str, dict[str, object]]:
    """The rows by path, with these columns or all."""
    frame = FileTable(files_of(place), frozenset(columns or COLUMNS)).frame
    found = frame.select("path", *[name for name in columns or COLUMNS if name != "path"]).collect()
    return {str(row.pop("path")): row for row in found.to_dicts()}


def only(content: bytes, folder: Path, name: str = "file") -> dict[str, object]:
    (folder / name).write_bytes(content)
    (row,) = rows(folder).values()
    return row


# --- every file --------------------------------------------------------------------------------------------------------


def test_what_the_listing_tells(tmp_path: Path):
    write(tmp_path, sub___A__PNG=b"12345", plain=b"")
    os.utime(tmp_path / "plain", (0, 86_400))
    found = rows(tmp_path, "size", "modified", "extension", "extension_mime_type")
    assert list(found) == ["plain", "sub/A.PNG"]
    assert (found["plain"]["size"], found["plain"]["extension"], found["plain"]["extension_mime_type"]) == (0, None, None)
    assert str(found["plain"]["modified"]) == "1970-01-02 00:00:00+00:00"
    assert (found["sub/A.PNG"]["size"], found["sub/A.PNG"]["extension"]) == (5, "png")
    assert found["sub/A.PNG"]["extension_mime_type"] == "image/png"


def test_equal_files_have_equal_sums(tmp_path: Path):
    content = os.urandom(3_000_000)
    write(tmp_path, a=content, b=content, c=content[:-1])
    found = rows(tmp_path, "sha256")
    assert found["a"] == found["b"] == {"sha256": hashlib.sha256(content).hexdigest()} != found["c"]


def test_an_empty_folder_is_no_rows(tmp_path: Path):
    frame = FileTable(files_of(tmp_path), frozenset(COLUMNS)).frame.collect()
    assert (frame.height, frame.schema) == (0, pl.Schema(COLUMNS))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "inode/x-empty"),
        (b"hello\n", "text/plain"),
        ("{}".encode("utf-16"), "text/plain"),
        ("{} text".encode("utf-16-be"), "text/plain"),
        (b"\xef\xbb\xbf <!DOCTYPE html><p>", "text/html"),
        (b'<?xml version="1.0"?><a/>', "text/xml"),
        (b'<?xml version="1.0"?><svg/>', "image/svg+xml"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\x03\x04", "application/zip"),
        (b"PAR1", "application/vnd.apache.parquet"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", "audio/x-wav"),
        (b"\x00\x00\x00\x18ftypmp42", "video/mp4"),
        (b"x" * 257 + b"ustar\x00", "application/x-tar"),
        (bytes(range(256)), "application/octet-stream"),
        (b"mostly text, and one bell \x07 " * 20, "application/octet-stream"),
    ],
)
def test_the_content_tells_its_type(content: bytes, kind: str):
    assert mime_type(content) == kind


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "AVIF", "ICO", "PPM"])
def test_images_are_told_whatever_they_are_called(tmp_path: Path, form: str):
    row = only(picture(form), tmp_path, "x.bin")
    assert (row["format"], row["width"], row["decodable"], row["error"]) == (form, 40 if form != "ICO" else row["width"], True, None)
    assert row["mime_type"] == promised_type(f"x.{form.lower()}")


def test_a_wrong_extension_shows_in_two_columns(tmp_path: Path):
    row = only(picture("JPEG"), tmp_path, "a.png")
    assert (row["mime_type"], row["extension_mime_type"], row["decodable"]) == ("image/jpeg", "image/png", True)


# --- texts -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "written", "encoding", "tongue"),
    [
        (ENGLISH, "ascii", "utf-8", "en"),
        (GERMAN, "utf-8", "utf-8", "de"),
        (GERMAN, "utf-8-sig", "utf-8-sig", "de"),
        (GERMAN, "utf-16", "utf-16", "de"),
        (GERMAN, "utf-16-le", "utf-16-le", "de"),
        (GERMAN, "utf-16-be", "utf-16-be", "de"),
        (GERMAN, "utf-32", "utf-32", "de"),
        (RUSSIAN, "koi8-r", "koi8-r", "ru"),
        (RUSSIAN, "utf-8", "utf-8", "ru"),
        (JAPANESE, "shift_jis", "cp932", "ja"),
        (GERMAN, "cp1252", "cp1252", "de"),
        (GERMAN, "latin-1", "cp1252", "de"),
        (POLISH, "cp1250", "cp1250", "pl"),
        (RUSSIAN, "cp1251", "cp1251", "ru"),
    ],
)
def test_encoding_length_and_language(tmp_path: Path, text: str, written: str, encoding: str, tongue: str):
    content = text * 9
    row = only(content.encode(written), tmp_path, "a.txt")
    assert (row["encoding"], row["language"]) == (encoding, tongue)
    assert (row["characters"], row["words"]) == (len(content), len(content.split()))
    assert (row["mime_type"], row["decodable"], row["width"], row["error"]) == ("text/plain", None, None, None)


def test_words_and_characters_are_counted_across_blocks(tmp_path: Path):
    for shift in range(4):
        text = "x" * (2**20 - 2 + shift) + " é wörter\n" + "ab " * 500_000 + "end"
        row = only(text.encode(), tmp_path, "long.txt")
        assert (row["characters"], row["words"]) == (len(text), len(text.split()))


@pytest.mark.parametrize(("text", "code"), [("", None), (" \n", None), ("ok", "und"), ("12 345.67", "zxx")])
def test_what_is_too_short_has_no_language(text: str, code: str | None):
    assert language(text) == code


def test_text_that_turns_out_not_to_be_what_it_began_as(tmp_path: Path):
    row = only(b"fine text\n" * 10_000 + b"\xff\xfe bad", tmp_path, "a.txt")
    assert (row["encoding"], row["characters"]) == (None, None)
    assert str(row["error"]).startswith("text that begins as utf-8, and holds bytes that are not")


def test_an_empty_text_has_no_characters_and_no_encoding(tmp_path: Path):
    row = only(b"", tmp_path, "a.txt")
    assert (row["characters"], row["words"], row["encoding"], row["language"], row["error"]) == (0, 0, None, None, None)


def test_what_is_binary_has_no_encoding(tmp_path: Path):
    row = only(os.urandom(5000), tmp_path, "a.txt")
    assert (row["mime_type"], row["encoding"], row["characters"]) == ("application/octet-stream", None, None)


# --- images ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1), ("RGBA", 4)])
def test_size_and_mode_of_an_image(tmp_path: Path, mode: str, channels: int):
    row = only(picture(size=(7, 9), mode=mode), tmp_path)
    assert (row["width"], row["height"], row["mode"], row["channels"], row["format"]) == (7, 9, mode, channels, "PNG")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("part", [0.99, 0.5, 0.05])
def test_an_image_that_is_cut_off_is_not_decodable(tmp_path: Path, form: str, part: float):
    content = picture(form, (200, 150))
    row = only(content[: int(len(content) * part)], tmp_path, "a")
    assert row["decodable"] is False
    assert "cannot be decoded" in str(row["error"]) or "no image" in str(row["error"])


def test_a_later_frame_that_is_cut_off_counts(tmp_path: Path):
    content = picture("GIF", (50, 50), "L", frames=6)
    assert only(content, tmp_path, "a.gif")["decodable"] is True
    assert only(content[: int(len(content) * 0.8)], tmp_path, "a.gif")["decodable"] is False


@pytest.mark.parametrize("content", [b"", b"<!doctype html><title>404</title>", b"\x00\x01\x02" * 50])
def test_what_is_called_an_image_and_is_none_is_not_decodable(tmp_path: Path, content: bytes):
    row = only(content, tmp_path, "a.jpg")
    assert (row["decodable"], row["width"], row["error"]) == (False, None, "is no image of a known format")


def test_a_decompression_bomb_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    content = io.BytesIO()
    Image.new("1", (400, 300)).save(content, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 70_000)
    with pytest.warns(Image.DecompressionBombWarning):
        row = only(content.getvalue(), tmp_path, "a.png")
    assert (row["decodable"], row["width"]) == (False, 400)
    assert row["error"] == "has 120,000 pixels; images of more than 70,000 are not decoded"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 7_000)
    row = only(content.getvalue(), tmp_path, "a.png")
    assert (row["decodable"], row["error"]) == (False, "is far larger than the images that are decoded")


def test_of_large_images_one_at_a_time_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(images, "_LARGE", 100)
    held, real = [], images._one_large

    class Watched:
        def __enter__(self) -> None:
            assert real.acquire(timeout=60)
            held.append(threading.get_ident())

        def __exit__(self, *_: object) -> None:
            real.release()

    monkeypatch.setattr(images, "_one_large", Watched())
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(picture())
    assert all(row["decodable"] for row in rows(tmp_path, "decodable").values())
    assert len(held) == 8


def test_postscript_is_never_handed_to_an_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("subprocess.check_call", lambda *_, **__: pytest.fail("a program was started"))
    row = only(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n", tmp_path, "a.jpg")
    assert (row["mime_type"], row["decodable"]) == ("application/postscript", False)


# --- what is no file like others -----------------------------------------------------------------------------------------


def test_strange_things_in_a_folder_are_rows(tmp_path: Path):
    write(tmp_path, real__txt=b"text", sub___a__txt=b"a")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "link.txt").symlink_to("real.txt")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        found = rows(tmp_path, "size", "error", "characters")
    assert {name: row["error"] for name, row in found.items()} == {
        "real.txt": None,
        "link.txt": None,
        "sub/a.txt": None,
        "pipe": "no regular file (a named pipe)",
        "socket": "no regular file (a socket)",
        "loop": "a link to a folder, which is not followed",
        "broken": "a link to nothing",
    }
    assert (found["link.txt"]["characters"], found["pipe"]["size"]) == (4, None)


def test_a_name_that_is_no_text_is_written_out(tmp_path: Path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.txt")).write_bytes(b"hello")
    assert rows(tmp_path, "characters") == {"caf\\xe9.txt": {"characters": 5}}


def test_what_may_not_be_read_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, secret__txt=b"x", open__txt=b"y")
    real = Path.open

    def refusing(path: Path, *arguments: object) -> object:
        if path.name == "secret.txt":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refusing)
    found = rows(tmp_path, "sha256", "error")
    assert found["secret.txt"] == {"sha256": None, "error": "cannot be read (Permission denied)"}
    assert found["open.txt"]["error"] is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into every folder")
def test_a_folder_that_may_not_be_looked_into_is_a_row(tmp_path: Path):
    write(tmp_path, a__txt=b"x", shut___b__txt=b"y")
    (tmp_path / "shut").chmod(0)
    assert rows(tmp_path, "error")["shut"] == {"error": "cannot be looked into (Permission denied)"}
    (tmp_path / "shut").chmod(0o700)


# --- what it costs -------------------------------------------------------------------------------------------------------


def test_only_what_is_asked_for_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, a__txt=GERMAN.encode(), b__png=picture())
    read: list[str] = []
    monkeypatch.setattr(documents.texts, "language", lambda text: read.append("language"))
    monkeypatch.setattr(documents.images, "read_picture", lambda *_, **__: read.append("picture"))
    real = documents._content
    monkeypatch.setattr(documents, "_content", lambda *given: read.append("content") or real(*given))
    rows(tmp_path, "size", "modified", "extension")
    assert read == []
    rows(tmp_path, "characters")
    assert read == ["content", "content"]


def test_every_file_is_read_once_for_all_columns_that_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path, a__txt=b"a", b__txt=b"b")
    opened: list[str] = []
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *given: opened.append(path.name) or real(path, *given))  # type: ignore[call-overload]
    frame = FileTable(files_of(tmp_path), frozenset(("sha256", "words"))).frame
    for column in ("sha256", "words", "sha256"):
        frame.select(column).collect()
    assert sorted(opened) == ["a.txt", "b.txt"]


def test_columns_of_a_missing_library_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(documents, "find_spec", lambda name: None if name in ("PIL", "py3langid") else object())
    told = documents.lacking()
    assert set(told) == documents.PICTORIAL | {"language"}
    assert told["width"] == "width of files needs PIL: pip install 'dagster-contracts[files]'"
    assert "width" not in FileTable([], frozenset()).frame.collect_schema()
