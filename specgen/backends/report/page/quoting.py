"""How texts enter the page: the only two ways in, one for markup and one for data.

Texts of a table are data: through here none of them can open a tag, leave its attribute or end
the script that holds it.  The page's own code adds them as text nodes only.
"""

from __future__ import annotations

import json
from typing import Final

from specgen.text.markdown import line
from specgen.text.printable import safe_json

ENTITIES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "`": "&#96;"}
)

#: What could end a script, open a comment in it, or end a line of it.
ESCAPES: Final = str.maketrans(
    {character: f"\\u{ord(character):04x}" for character in "<>&'\u2028\u2029\x7f"}
)


def html(text: str) -> str:
    """A text, harmless as content of an element and inside a quoted attribute."""
    return line(text).translate(ENTITIES)


def data(value: object) -> str:
    """A value as JSON, harmless inside `<script>` and as an expression of JavaScript."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return safe_json(text).encode("utf-8", "replace").decode().translate(ESCAPES)
