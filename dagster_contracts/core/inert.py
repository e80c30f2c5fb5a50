r"""Strangers' text, made so that nothing acts on it: contracts and data come from vendors, and end in terminals, logs and web pages.

What would drive a terminal, or hide or reorder text, is written as its escape (escape becomes the four characters \x1b); what a page would
take for a link, an image or HTML loses its meaning; what is too long is cut.
"""

from __future__ import annotations

import re

# C0 and C1 controls (tab and newline left out), and what reorders or hides text: bidirectional controls, zero-width characters,
# line and paragraph separators, the byte order mark, tag characters, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
# Where a page would begin HTML, a link's or image's target, the definition of a target, or an address. A space ends their meaning, and
# a page that renders nothing shows it as it reads.
_ACTIVE = re.compile(r"<(?=[A-Za-z/!?])|(?<=\])(?=[(\[:])|(?<=:)(?=//)|(?<=[wW]{3})(?=\.)")
LINE, TEXT = 2_000, 20_000  # characters


def plain(text: object) -> str:
    r"""`text` without any character that a terminal would act on: escape becomes the four characters \x1b."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), str(text))


def cut(text: str, limit: int) -> str:
    """At most `limit` characters of it, and how many there were."""
    if len(text) <= limit:
        return text
    told = f"... ({len(text):,} characters)"
    return text[: max(0, limit - len(told))] + told


def shown(text: object, limit: int = TEXT) -> str:
    """`text` for a page that renders Markdown and HTML: it reads the same, and none of it is markup. Twice is the same as once."""
    return _ACTIVE.sub(lambda found: "‹" if found[0] else " ", plain(cut(str(text), limit)))
