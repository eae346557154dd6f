"""The table of diagnostics: every code that specgen can print is declared here and nowhere else.

A template is filled with `str.format`; an explanation is what `specgen explain CODE` prints,
with a short wrong and right example.  Knows no spans and no rendering.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, Severity, error, warning
from specgen.diagnostics.rules.configuration import CONFIGURATION_CODES
from specgen.diagnostics.rules.counts import COUNT_CODES
from specgen.diagnostics.rules.dataflow import DATAFLOW_CODES
from specgen.diagnostics.rules.operations import OPERATION_CODES
from specgen.diagnostics.rules.output import OUTPUT_CODES
from specgen.diagnostics.rules.rows import ROW_CODES
from specgen.diagnostics.rules.syntax import SYNTAX_CODES
from specgen.diagnostics.rules.values import VALUE_CODES

CODES: Final[Mapping[str, Code]] = {
    **SYNTAX_CODES,
    **VALUE_CODES,
    **OPERATION_CODES,
    **DATAFLOW_CODES,
    **ROW_CODES,
    **COUNT_CODES,
    **OUTPUT_CODES,
    **CONFIGURATION_CODES,
}

__all__ = ["CODES", "Code", "Severity", "error", "warning"]
