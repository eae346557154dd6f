"""Numbers as the shortest texts: names of values in the file, and of files beside it."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final

#: Digits of names inside a file.
LONG: Final = digits + ascii_lowercase + ascii_uppercase

#: Digits of names of files: some file systems do not tell capital letters from others.
SHORT: Final = digits + ascii_lowercase


def numeral(number: int, among: str) -> str:
    """The number written with these digits."""
    rest, last = divmod(number, len(among))
    return (numeral(rest, among) if rest else "") + among[last]
