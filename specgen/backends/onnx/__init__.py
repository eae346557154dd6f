"""The ONNX back end: `emit` gives a program's model.onnx.  Reads the IR and the analyses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specgen.backends.onnx.options import DEFAULT, Options
from specgen.backends.refusal import Refusal, RefusalSite
from specgen.text.printable import is_unsafe, safe

if TYPE_CHECKING:
    from specgen.backends.content import Content
    from specgen.ir.model import Program

__all__ = ["Options", "emit"]


def emit(program: Program, options: Options = DEFAULT) -> Mapping[str, Content]:
    """The files of a program as the options say: model.onnx, and what goes with it.

    Raises:
        SpecError: the table has no forward, or needs what ONNX does not have.
    """
    from specgen.backends.onnx import build  # the options alone are cheap to import

    refuse_names(program)
    return build.emit(program, options)


def refuse_names(program: Program) -> None:
    """Refuses released names that tools, which print them as they are, would act on."""
    for module in program.modules.values():
        templates = [template for names in module.names.values() for template in names.values()]
        templates += [packing.template for found in module.packings.values() for packing in found]
        for piece in (piece for template in templates for piece in template):
            if isinstance(piece, str) and any(map(is_unsafe, piece)):
                reason = f"the name `{safe(piece)}` holds a character that cannot be seen"
                raise Refusal("onnx", reason, RefusalSite(module.name))
