"""Values of a variant: defaults, the chain of variants, overrides; checked and complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from typing import Final, TypeGuard

from specgen.diagnostics.diagnostic import FIRST, Diagnostics, Label, did_you_mean
from specgen.diagnostics.source import Source, Span
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import EvaluationError, Number, Value, describe, evaluate, expression
from specgen.expr.facts import is_int
from specgen.expr.node import Const, Expr, symbols
from specgen.expr.printing import TABLE, to_text
from specgen.frontend.files import ModuleDefinition
from specgen.frontend.scope import Scope, Unresolved
from specgen.ir.model import ParamValue
from specgen.language import tree
from specgen.language.expressions import LIST_ITEMS
from specgen.language.parser import parse_expression
from specgen.records import dataclass
from specgen.text.reals import rounded

#: A value given from outside; a text is read as the language reads it.
Override = str | int | float | bool | Sequence[int | float]

#: No size of a model is larger; it keeps every count within exact reach.
MAX_SIZE: Final = 2**48

#: How much of a value a fault shows.
SHOWN: Final = 60


@dataclass(frozen=True)
class Setting:
    """The expression that gives a param its value, and where it was written."""

    expr: Expr
    span: Span


def find_variant(definition: ModuleDefinition, name: str) -> tree.VariantSyntax | None:
    return next((v for v in definition.tree.variants if v.name == name), None)


def chain(
    definition: ModuleDefinition, name: str, diagnostics: Diagnostics
) -> Sequence[tree.VariantSyntax] | None:
    """The variant and those it extends, nearest first."""
    found: list[tree.VariantSyntax] = []
    wanted: str | None = name
    where: Span | None = None
    while wanted is not None:
        variant = find_variant(definition, wanted)
        if variant is None:
            known = [v.name for v in definition.tree.variants]
            diagnostics.report(
                "E0312",
                where,
                name=wanted,
                model=definition.name,
                help=did_you_mean(wanted, known),
                notes=[f"variants: {', '.join(known)}"] if known else ["it has no variants"],
            )
            return None
        if any(variant is known for known in found):
            diagnostics.report("E0313", variant.span, name=variant.name)
            return None
        found.append(variant)
        wanted, where = variant.parent, variant.span
    return found


def settings(
    definition: ModuleDefinition,
    scope: Scope,
    variant: str | None,
    overrides: Mapping[str, Override],
    diagnostics: Diagnostics,
) -> dict[str, Setting] | None:
    """What each param is set to; None where the variant does not exist."""
    params = {param.name: param for param in definition.tree.params}
    found: dict[str, Setting] = {}

    def assign(name: str, expr: Expr, span: Span) -> None:
        if name in params:
            found.setdefault(name, Setting(expr, span))
            return
        diagnostics.report(
            "E0314",
            span,
            name=name,
            model=definition.name,
            help=did_you_mean(name, params),
        )

    for name, value in overrides.items():
        override = override_setting(name, value, params.get(name), scope, diagnostics)
        if override is not None:
            assign(name, override.expr, override.span)
    if variant is not None:
        variants = chain(definition, variant, diagnostics)
        if variants is None:
            return None
        for row in variants:
            seen: dict[str, Span] = {}
            for item in row.rows:
                if item.name in seen:
                    labels = [Label(seen[item.name], FIRST)]
                    diagnostics.report("E0315", item.span, name=item.name, labels=labels)
                seen.setdefault(item.name, item.span)
                try:
                    assign(item.name, scope.resolve(item.value), item.span)
                except Unresolved:
                    continue
    for param in definition.tree.params:
        if param.default is not None:
            try:
                expr = scope.resolve(param.default)
            except Unresolved:
                continue
            found.setdefault(param.name, Setting(expr, param.span))
    return found


def override_setting(
    name: str,
    value: Override,
    param: tree.ParamSyntax | None,
    scope: Scope,
    diagnostics: Diagnostics,
) -> Setting | None:
    """An override from outside: text is parsed as an expression, never executed."""
    if not isinstance(value, str):
        given = value if isinstance(value, int | float) else tuple(value)
        shown = describe(given)
        return Setting(expression(given), Span(Source(f"-D {name}", shown), 0, len(shown)))
    source = Source(f"-D {name}", value)
    span = Span(source, 0, len(value))
    if param is not None and (value in param.choices or (param.type == "dtype")):
        return Setting(Const(value), span)
    node = parse_expression(source, span, diagnostics)
    if node is None:
        return None
    inner = replace(scope, diagnostics=diagnostics, existence={})
    try:
        return Setting(inner.resolve(node), span)
    except Unresolved:
        return None


def values(
    definition: ModuleDefinition,
    scope: Scope,
    variant: str | None,
    overrides: Mapping[str, Override],
    diagnostics: Diagnostics,
) -> dict[str, ParamValue]:
    """The value of every param that has one; faults are reported."""
    given = settings(definition, scope, variant, overrides, diagnostics)
    if given is None:
        return {}
    params = {param.name: param for param in definition.tree.params}
    done: dict[str, ParamValue] = {}
    failed: set[str] = set()
    active: list[str] = []

    def compute(name: str) -> None:
        if name in done or name in failed or name not in given:
            return
        setting = given[name]
        if name in active:
            diagnostics.report("E0316", setting.span, name=" → ".join([*active, name]))
            failed.update(active)
            return
        active.append(name)
        expanded = scope.expand(setting.expr)
        for dependency in sorted(symbols(expanded)):
            compute(dependency)
        active.pop()
        if name in failed or failed & symbols(expanded):
            failed.add(name)
            return
        try:
            value = evaluate(expanded, done)
        except EvaluationError as error:
            diagnostics.report("E0317", setting.span, name=name, reason=str(error))
            failed.add(name)
            return
        checked = check_value(params[name], value, setting.span, definition, diagnostics)
        if checked is not None:
            done[name] = checked
        else:
            failed.add(name)

    for name, param in params.items():
        if name not in given and param.default is None:
            diagnostics.report("E0310", param.span, name=name)
        compute(name)
    return done


def check_value(
    param: tree.ParamSyntax,
    value: Value,
    span: Span,
    definition: ModuleDefinition,
    diagnostics: Diagnostics,
) -> ParamValue:
    """The value as the param's type has it; None, after a report, where it does not fit."""
    wanted: str
    match param.type:
        case "size":
            if is_int(value) and 1 <= value <= MAX_SIZE:
                return value
            wanted = f"a whole number from 1 to {MAX_SIZE}"
        case "count":
            if is_int(value) and 0 <= value <= MAX_SIZE:
                return value
            wanted = f"a whole number from 0 to {MAX_SIZE}"
        case "real":
            if isinstance(value, int | Fraction | float) and not isinstance(value, bool):
                with suppress(ValueError):
                    return rounded(value)
            wanted = "a number that a real can hold"
        case "flag":
            if isinstance(value, bool):
                return value
            wanted = "true or false"
        case "counts":
            if is_list(value) and all(is_int(v) and 0 <= v <= MAX_SIZE for v in value):
                return tuple(map(int, value))
            wanted = f"a list of at most {LIST_ITEMS} whole numbers from 0 to {MAX_SIZE}"
        case "reals":
            if is_list(value):
                with suppress(ValueError):
                    return tuple(map(rounded, value))
            wanted = f"a list of at most {LIST_ITEMS} numbers that a real can hold"
        case "dtype":
            if isinstance(value, str) and (value in DTYPES or definition.module(value)):
                return value
            wanted = "a dtype or a storage format"
        case _:
            if isinstance(value, str) and value in param.choices:
                return value
            wanted = " or ".join(f'"{choice}"' for choice in param.choices)
    found = describe(value)
    diagnostics.report(
        "E0318",
        span,
        name=param.name,
        wanted=wanted,
        found=found if len(found) <= SHOWN else f"{found[:SHOWN]}…",
        labels=[Label(param.span, f"`{param.name}` is declared here")],
    )
    return None


def is_list(value: Value) -> TypeGuard[tuple[Number, ...]]:
    return isinstance(value, tuple) and len(value) <= LIST_ITEMS


def check_requires(
    definition: ModuleDefinition,
    scope: Scope,
    known: Mapping[str, Value],
    diagnostics: Diagnostics,
    place: str,
) -> None:
    """Reports each requirement that the values break, with the table's own reason."""
    for row in definition.tree.requires:
        try:
            condition = scope.resolve(row.condition)
            expanded = scope.expand(condition)
            holds = evaluate(expanded, known)
        except (Unresolved, EvaluationError):
            continue  # reported where it stands, or it depends on an index
        if holds is not True:
            shown = [f"{n} = {describe(known[n])}" for n in sorted(symbols(expanded)) if n in known]
            notes = [", ".join(shown)] if shown else []
            if place:
                notes.append(f"in the part `{place.rstrip('.')}`")
            diagnostics.report(
                "E0311",
                row.span,
                condition=to_text(condition, TABLE),
                reason=row.reason,
                notes=notes,
            )
