"""Print what differs between two tables: row by row, adding up to the total, and each quantity."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from specgen.cli.arguments import Usage, add_format, add_spec, selected
from specgen.cli.output import emit
from specgen.huggingface.select import select

if TYPE_CHECKING:
    from specgen.expr.evaluate import Value


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser, "a", "b")
    add_format(parser, "text", "md", "json")


def run(arguments: argparse.Namespace) -> int:
    from specgen.documents import diff_listing
    from specgen.documents.diff import difference
    from specgen.questions.compare import complete

    overrides, variables = chosen(arguments)
    a, b = (selected(spec, overrides, arguments) for spec in (arguments.a, arguments.b))
    found = difference(a.program(), b.program(), complete(variables))
    renderers = {
        "text": diff_listing.to_terminal,
        "md": diff_listing.to_markdown,
        "json": diff_listing.to_json,
    }
    emit(renderers[arguments.format](found).encode())
    return 0


def chosen(arguments: argparse.Namespace) -> tuple[dict[str, str], dict[str, Value]]:
    """The params that -D sets, and the variables: names of variables that no table has as params."""
    from specgen.questions.variables import variables_of

    models = [select(spec).opened().model for spec in (arguments.a, arguments.b)]
    params = {param.name for model in models for param in model.tree.params}
    known = {name for model in models for name in variables_of(model)}
    overrides: dict[str, str] = {}
    variables: dict[str, Value] = {}
    for name, text in arguments.defines:
        if name not in known or name in params:
            overrides[name] = text
            continue
        from specgen.questions.points import SweepError, value, variable  # numpy: 0.1 s
        from specgen.questions.question import QuestionError

        try:
            variables[name] = variable(name, value(name, text, None, models[0]))
        except (SweepError, QuestionError) as error:
            raise Usage(str(error)) from None
    return overrides, variables
