"""specgen: compiles LLM architecture tables to PyTorch, ONNX, reports and exact counts.

`import specgen` costs next to nothing: what a name needs is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from specgen.version import __version__

if TYPE_CHECKING:
    from specgen.api import Model, check, import_config, load
    from specgen.diagnostics.diagnostic import Diagnostic, RequestError, SpecError
    from specgen.diagnostics.explain import explain

__all__ = [
    "Diagnostic", "Model", "RequestError", "SpecError", "__version__", "check", "explain",
    "import_config", "load",
]  # fmt: skip

#: Where each name is that is imported when it is first used.
MODULES = {
    **dict.fromkeys(("Model", "check", "import_config", "load"), "specgen.api"),
    **dict.fromkeys(("Diagnostic", "RequestError", "SpecError"), "specgen.diagnostics.diagnostic"),
    "explain": "specgen.diagnostics.explain",
}


def __dir__() -> list[str]:
    """Every public name, those that are not imported yet among them."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    if name in MODULES:
        return getattr(import_module(MODULES[name]), name)
    raise AttributeError(f"module 'specgen' has no attribute {name!r}")
