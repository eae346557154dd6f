"""How texts of tables, files and command lines leave specgen: nothing that acts on a terminal.

Control characters, escape sequences, changes of the direction of writing and what cannot be seen
are shown as escapes; letters of every script stay.  Every output goes through one of these.
"""

from __future__ import annotations

import unicodedata
from typing import Final

UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def safe(text: str) -> str:
    """A text on one line, each character that could do something to a terminal as `\\u{1b}`."""
    if text.isprintable():
        return text
    return "".join(f"\\u{{{ord(char):x}}}" if is_unsafe(char) else char for char in text)


def safe_lines(text: str) -> str:
    """As `safe`, of a text of lines: what ends them stays, and so do tabs."""
    return "\n".join("\t".join(map(safe, line.split("\t"))) for line in text.split("\n"))


def safe_json(text: str) -> str:
    """A JSON text that says the same, such characters of its strings as JSON's own escapes."""
    return "\n".join(map(escaped, text.split("\n")))


def escaped(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(map(unit, line))


def unit(char: str) -> str:
    """A character of a JSON text; one beyond the first plane is two escapes."""
    if char == "\t" or not is_unsafe(char):
        return char
    code = ord(char)
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def is_unsafe(char: str) -> bool:
    return not char.isprintable() and unicodedata.category(char) in UNSAFE


def shorten(text: str, length: int = 60) -> str:
    """The beginning of what a user wrote, for a message."""
    return text if len(text) <= length else f"{text[: length - 3]}…"
