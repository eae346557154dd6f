"""How texts, names and numbers enter Markdown: the only way in.

Texts of a table are data: through here none of them can open markup, HTML, a link or a line of
its own.  Knows no IR.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

ENTITIES: Final = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "@": "&#64;", "`": "&#96;",
    "$": "&#36;",
}  # fmt: skip
ESCAPED: Final = frozenset("\\*~[]#{}")
OPENS_A_LIST: Final = re.compile(r"[-+=]|\d+[.)]")

#: An underscore inside a word marks nothing, nor does a colon before a space.
MARKING_UNDERSCORE: Final = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
LINKING_COLON: Final = re.compile(r":(?=\S)")
LINKING_WWW: Final = re.compile(r"(?i)www(?=\.)")


def line(text: str) -> str:
    """The text on one line: what ends a line, is invisible or turns writing around, is a space."""
    return " ".join(visible(text).split())


def visible(text: str) -> str:
    """The text with a space for every character that is not printed, terminal codes included."""
    return "".join(c if c.isprintable() else " " for c in text)


def quote(text: str) -> str:
    """A text, harmless inside a heading, a cell of a table, a paragraph or an `item`."""
    marked = MARKING_UNDERSCORE.sub(r"\\_", "".join(map(quoted, line(text))))
    return LINKING_WWW.sub("ww&#119;", LINKING_COLON.sub("&#58;", marked))


def quoted(character: str) -> str:
    entity = ENTITIES.get(character)
    if entity is not None:
        return entity
    return f"\\{character}" if character in ESCAPED else character


def code(text: str) -> str:
    """A name, a size or a formula in a code span; as quoted text where a span cannot hold it."""
    flat = line(text)
    if not flat:
        return ""
    return quote(flat) if any(c in "`|\\" for c in flat) else f"`{flat}`"


def item(content: str) -> str:
    """An item of a list; its content is quoted already, and opens no list of its own."""
    start = OPENS_A_LIST.match(content)
    if start is not None:
        at = start.end() - 1  # the mark itself, or the dot behind a number
        content = f"{content[:at]}\\{content[at:]}"
    return f"- {content}"


def number(value: int) -> str:
    """An integer with separators: 671,026,419,200."""
    return f"{value:,}"


def signed(value: int) -> str:
    """A difference with its sign; zero has none."""
    return f"{value:+,}" if value else "0"


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()
) -> list[str]:
    """The lines of a table; its cells are quoted already, columns in `right` are numbers."""
    aligned = frozenset(right)
    rule = ["---:" if i in aligned else "---" for i in range(len(head))]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]
