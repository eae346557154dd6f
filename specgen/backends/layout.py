"""The templates of text back ends: layout only, no decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from specgen.resources import folder

if TYPE_CHECKING:
    from jinja2 import Template


def template(name: str) -> Template:
    """A template by file name; an unknown value in it is a fault, never an empty text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # 70 ms

    # No autoescape: the outputs are Python and Markdown, and each back end quotes every text.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(folder("templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)
