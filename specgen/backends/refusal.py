"""What a back end says of a well-formed table that its own language cannot express."""

from __future__ import annotations

from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.records import dataclass


@dataclass(frozen=True, slots=True)
class RefusalSite:
    """Where in a table it stands: the name of a module, or "" for none, and of what is in it.

    `name` is that of a forward ("" for the main one), a function, a row or a part.
    """

    module: str
    name: str = ""


class Refusal(SpecError):
    """A target cannot express a table, which other targets may; `site` is where, if it is known.

    Back ends see no text: whoever has it gives the diagnostic its place.
    """

    def __init__(self, target: str, reason: object, site: RefusalSite | None = None) -> None:
        found = Diagnostics()
        found.report("E0905", None, target=target, reason=reason)
        super().__init__(found.all)
        self.target = target
        self.reason = str(reason)
        self.site = site


def note_site(error: Exception, site: RefusalSite) -> None:
    """Notes the innermost place of an error on its way out."""
    if site_of(error) is None:
        vars(error)["site"] = site


def site_of(error: Exception) -> RefusalSite | None:
    return getattr(error, "site", None)
