"""What the PyTorch back end refuses."""

from __future__ import annotations

from specgen.backends.refusal import RefusalSite


class Inexpressible(Exception):
    """A well-formed table that model.py cannot express; the message completes E0905.

    `site` is where in the table that stands.
    """

    def __init__(self, reason: str, site: RefusalSite | None = None) -> None:
        super().__init__(reason)
        self.site = site
