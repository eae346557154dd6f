"""report.html: the table as a page that computes, one file that needs nothing else.

Puts the page's style, its script and its data into one template.  A content security policy
names the two by their hashes and allows nothing besides: no network, no other script.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from specgen.analysis.quantities.ledger import Ledger
from specgen.backends.layout import template
from specgen.backends.report.page.document import page_document
from specgen.backends.report.page.quoting import data, html
from specgen.backends.report.page.words import WORDS
from specgen.frontend.opened import Opened
from specgen.resources import folder

STYLE: Final = "page.css"

#: In the order in which they build on one another.
SCRIPTS: Final = (
    "exact.js", "notation.js", "figures.js", "controls.js", "picture.js", "plot.js", "page.js",
)  # fmt: skip


def write_page(ledger: Ledger, table: Opened | None = None) -> str:
    """The whole file; with the opened table it holds more structures than the ledger's."""
    found = page_document(ledger, table)
    style = source(STYLE)
    script = "\n".join(f"// ---- {name}\n{source(name)}" for name in SCRIPTS)
    script = f'"use strict";\n{script}'
    return template("report.html.j2").render(
        title=html(str(found["title"])),
        style=style,
        style_hash=digest(style),
        script=script,
        script_hash=digest(script),
        data=data(found),
        refusal=[html(str(said["script"])) for said in WORDS.values()],
    )


def source(name: str) -> str:
    """A file of the page's own; it holds nothing of a table."""
    return (folder("templates") / "page" / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """The name of a script or style in a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
