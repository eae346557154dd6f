"""specgen: compiles LLM architecture tables to PyTorch, ONNX, reports and exact counts.

`import specgen` costs next to nothing: what a name needs is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specgen.version import __version__

if TYPE_CHECKING:
    from specgen.api import Model, load
    from specgen.diagnostics.diagnostic import Diagnostic, SpecError

__all__ = ["Diagnostic", "Model", "SpecError", "__version__", "load"]


def __dir__() -> list[str]:
    """Every public name, those that are not imported yet among them."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name in ("Model", "load"):
        from specgen import api

        return getattr(api, name)
    if name in ("Diagnostic", "SpecError"):
        from specgen.diagnostics import diagnostic

        return getattr(diagnostic, name)
    raise AttributeError(f"module 'specgen' has no attribute {name!r}")
