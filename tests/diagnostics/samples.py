"""Diagnostics that show what a renderer must cope with; made by hand, of real codes."""

from __future__ import annotations

from specgen.diagnostics.diagnostic import Diagnostic, Fix, Label
from specgen.diagnostics.source import Source, Span

SPEC = Source(
    "specs/tiny.dsv3",
    "language 1\n"
    'model tiny "极小" {\n'
    "\tparams {\n"
    '\t\tdim : size 64\t"隐藏层宽度"  # 维度\n'
    "\t}\n"
    "  tensors { 权重 : dim -> dim }\n"
    '  title "\x1b[31mred\x07 \u202eevil\u2066 e\u0301\u200d"\n'
    + " " * 200 + "w : dim" + " " * 200 + "-> dim\n"
    "}\n"
    * 5,
)  # fmt: skip
OTHER = Source("std/norm.dsv3", "language 1\n\nmodule rmsnorm {\n}\n")


def at(text: str, source: Source = SPEC, length: int | None = None) -> Span:
    start = source.text.index(text)
    return Span(source, start, start + (len(text) if length is None else length))


SAMPLES = (
    Diagnostic("E0101", "cannot read `no\nsuch\x1b[2Jfile`: there is no such file"),
    Diagnostic(
        "E0105",
        "expected `=`, found `64`",
        at("64"),
        help="a row of `params` reads: name : size = 64",
        fixes=(Fix(Span(SPEC, at("64").start - 1, at("64").start - 1), " =", "add `=`"),),
    ),
    Diagnostic("E0108", "`权重` is not part of the language", at("权重")),
    Diagnostic(
        "E0203",
        "`rmsnorm` is defined twice",
        at("tensors"),
        labels=(
            Label(at("params"), "first of this file"),
            Label(at("tiny"), "inside this"),
            Label(at("dim ->"), "on the same line"),
            Label(at("rmsnorm", OTHER), "and in another file"),
        ),
        notes=("one line", "several lines,\nof which this is the second"),
    ),
    Diagnostic("E0109", 'this text has no closing `"`', at('"\x1b')),
    Diagnostic("E0113", "far to the right", at("-> dim\n", length=6)),
    Diagnostic("E0106", "`{` is never closed", at("{\n\tparams", length=200)),
    Diagnostic("W0404", "at the very end", Span(SPEC, len(SPEC.text), len(SPEC.text))),
    Diagnostic(
        "E0107",
        "`}` closes nothing",
        at("}\n  tensors", length=1),
        fixes=(
            Fix(at("}\n  tensors", length=1), "", "remove it"),
            Fix(at("}\n  tensors", length=12), "\n", "over several lines"),
        ),
    ),
)
