"""The ONNX back end: `emit` gives a program's model.onnx.  Reads the IR and the analyses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from specgen.backends.onnx.options import DEFAULT, Options

if TYPE_CHECKING:
    from specgen.artefacts.content import Content
    from specgen.ir.model import Program

__all__ = ["Options", "emit"]


def emit(program: Program, options: Options = DEFAULT) -> Mapping[str, Content]:
    """The files of a program as the options say: model.onnx, and what goes with it.

    Raises:
        SpecError: the table has no forward, or needs what ONNX does not have.
    """
    from specgen.backends.onnx import build  # the options alone are cheap to import

    return build.emit(program, options)
