"""JSON that people can read and diff: what fits on a line stands on one line."""

from __future__ import annotations

import json

from specgen.text.printable import safe_json

WIDTH = 100


def json_text(value: object) -> str:
    """The value as a JSON text that ends in a newline; the same bytes for the same value."""
    return safe_json("".join((*lines(value, ""), "\n")))


def lines(value: object, indent: str) -> list[str]:
    """The pieces of a value that starts behind `indent`."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(indent) + len(flat) <= WIDTH:
        return [flat]
    inner = f"{indent}  "
    entries = (
        [(f"{json.dumps(key, ensure_ascii=False)}: ", item) for key, item in value.items()]
        if isinstance(value, dict)
        else [("", item) for item in value]
    )
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    pieces = [opening]
    for i, (key, item) in enumerate(entries):
        pieces += [",\n" if i else "\n", inner, key, *lines(item, inner)]
    return [*pieces, "\n", indent, closing]
