"""The front door: a path and a variant in, a checked program out; or every fault at once."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, Label, SpecError
from specgen.frontend.dataflow.recursion import check_recursion
from specgen.frontend.files import Loaded, LoadedFile, ModuleDefinition, load_files
from specgen.frontend.followups import without_consequences
from specgen.frontend.selection import Selection
from specgen.frontend.shipped import passed
from specgen.frontend.values import Override
from specgen.ir.model import Program
from specgen.language import tree
from specgen.language.nesting import checking

#: Variants of a model: each is built and checked by itself.
MAX_VARIANTS = 256


def load_program(
    path: str | Path,
    variant: str | None = None,
    overrides: Mapping[str, Override] | None = None,
) -> Program:
    """The IR of one variant of a spec; `overrides` are set after the variant.

    Raises:
        SpecError: with every fault found, each with its place.
    """
    diagnostics = Diagnostics()
    loaded, model = load_model(path, diagnostics)
    return build_program(loaded, model, variant, overrides or {})


def load_model(path: str | Path, diagnostics: Diagnostics) -> tuple[Loaded, ModuleDefinition]:
    """The files of a spec and its model, checked as far as that needs no values.

    Nothing is answered of a table that `check` refuses, so that every question begins here.

    Raises:
        SpecError: syntax faults, unknown imports, a file without exactly one model, or a module
            that is at fault under some condition.
    """
    loaded = load_files(path, diagnostics)
    if loaded is None:
        raise SpecError(diagnostics.all)
    check_modules(loaded, diagnostics, passed(loaded))
    if diagnostics.errors:
        raise SpecError(without_consequences(diagnostics, trees(loaded)).all)
    return loaded, the_model(loaded, diagnostics)


def check_modules(
    loaded: Loaded, diagnostics: Diagnostics, passed: Container[LoadedFile] = ()
) -> None:
    """Reports what is at fault in the files, whatever values the params get, but in those that
    passed all checks before."""
    from specgen.frontend.checks.spec import check_spec

    try:
        with checking():
            check_recursion(loaded, diagnostics)
            check_spec(loaded, passed, diagnostics)
    except RecursionError:
        for model in loaded.models():
            too_deep(model, diagnostics)


def trees(loaded: Loaded) -> Iterator[tree.FileSyntax]:
    return (file.tree for file in loaded.files.values())


def the_model(loaded: Loaded, diagnostics: Diagnostics) -> ModuleDefinition:
    models = list(loaded.models())
    if len(models) != 1:
        several_models(loaded, models, diagnostics)
        raise SpecError(diagnostics.all)
    return models[0]


def several_models(
    loaded: Loaded, models: Sequence[ModuleDefinition], diagnostics: Diagnostics
) -> None:
    """Says so of a file with two models or more; or with none, where one is asked for."""
    span = models[1].tree.span if models else None
    labels = [Label(models[0].tree.span, "the first")] if models else []
    name = loaded.main.source.name
    diagnostics.report("E0207", span, name=name, count=len(models), labels=labels)


def build_program(
    loaded: Loaded,
    model: ModuleDefinition,
    variant: str | None,
    overrides: Mapping[str, Override],
    *,
    is_near: bool = False,
) -> Program:
    """The IR of one variant of files that `load_model` gave, checked.

    A variant of a shipped table was, before it was shipped; and so was what its page counts
    besides, which `is_near` says that this is.

    Raises:
        SpecError: with every fault found.
    """
    from specgen.frontend.program import assemble

    diagnostics = Diagnostics()
    program = None
    try:
        with checking():
            program = assemble(loaded, model, variant, overrides, diagnostics)
            if program is not None and (
                (overrides and not is_near) or loaded.main not in passed(loaded)
            ):
                check_program(program, loaded, model, diagnostics)
    except RecursionError:
        too_deep(model, diagnostics)
    if program is None or diagnostics.errors:
        raise SpecError(diagnostics.all)
    return program


def too_deep(model: ModuleDefinition, diagnostics: Diagnostics) -> None:
    """Says so where definitions lead to one another further than can be followed."""
    diagnostics.report("E0119", model.tree.span, name=model.name)


def check_file(path: str | Path) -> Diagnostics:
    """Every fault of a spec: its text, all its modules, and each of its variants."""
    diagnostics = Diagnostics()
    try:
        loaded = load_files(path, diagnostics)
        if loaded is None:
            return diagnostics
        # The file itself is always looked at: that is what was asked.
        check_modules(loaded, diagnostics, passed(loaded) - {loaded.main})
        try:
            check_variants(loaded, diagnostics)
        except RecursionError:
            for model in loaded.models():
                too_deep(model, diagnostics)
    except SpecError as error:  # so many faults that one of the steps gave up
        with suppress(SpecError):
            for diagnostic in error.diagnostics:
                diagnostics.add(diagnostic)
        return diagnostics
    return without_consequences(diagnostics, trees(loaded))


def check_selection(selection: Selection) -> tuple[Diagnostic, ...]:
    """Every fault of a table, and those of the variant and overrides that are chosen, if any are."""
    found = check_file(selection.path).all
    if selection.variant is None and not selection.overrides:
        return tuple(found)
    chosen = Diagnostics()
    try:
        opened = selection.opened()
        check_counts(opened.program(), opened.loaded, opened.model, chosen)
    except SpecError as error:
        return (*found, *error.diagnostics)
    return (*found, *chosen.all)


def check_variants(loaded: Loaded, diagnostics: Diagnostics) -> None:
    """Reports what only shows when the params of a model have values."""
    from specgen.frontend.program import assemble

    models = list(loaded.models())
    if len(models) > 1:
        several_models(loaded, models, diagnostics)
    for model in models:
        names: list[str | None] = [variant.name for variant in model.tree.variants]
        if all(param.default is not None for param in model.tree.params):
            names.append(None)
        if len(names) > MAX_VARIANTS:
            span = model.tree.variants[MAX_VARIANTS - 1].span
            diagnostics.report("E0114", span, limit=MAX_VARIANTS, what="variants of a model")
            continue
        for name in names:
            found = Diagnostics()
            with checking():
                program = assemble(loaded, model, name, {}, found)
            if program is not None and not diagnostics.errors:
                try:
                    with checking():
                        check_program(program, loaded, model, found)
                except SpecError as error:
                    for diagnostic in error.diagnostics:
                        if diagnostic.code != "E0801":  # said below, with its place
                            found.add(diagnostic)
                if loaded.main not in passed(loaded):  # it was counted before it was shipped
                    check_counts(program, loaded, model, found)
            for diagnostic in found.all:
                diagnostics.add(diagnostic)


def check_counts(
    program: Program, loaded: Loaded, model: ModuleDefinition, diagnostics: Diagnostics
) -> None:
    """Reports what keeps a variant from being counted, at its row where it is one row's fault."""
    from specgen.frontend.checks.uncountable import uncountable

    for found in uncountable(program):
        rows = [
            row.span
            for definition in loaded.definitions()
            if found.row is not None and definition.name == found.module
            for row in definition.tree.tensors
            if row.path.text == found.row.name
        ]
        # Of alternatives, the one that names the dtype.
        dtype = found.row.dtype if found.row is not None else None
        named = [
            span for span in rows if dtype and dtype in span.source.text[span.start : span.end]
        ]
        diagnostics.report(
            "E0801",
            (named or rows or [model.tree.span])[0],
            spec=program.name,
            reason=found.reason,
            notes=[f"found for {program.variant or 'the defaults'}"],
        )


def check_program(
    program: Program, loaded: Loaded, model: ModuleDefinition, diagnostics: Diagnostics
) -> None:
    """What only a whole variant shows: forwards that disagree, caches that grow twice, names and
    keys that collide.
    """
    from specgen.analysis.table.config import config
    from specgen.frontend.checks.appends import repeated
    from specgen.frontend.checks.cache_growth import unheld
    from specgen.frontend.checks.equivalence import disagreements
    from specgen.frontend.checks.released_names import collisions

    spans = {
        (definition.name, node.name): node.span
        for definition in loaded.definitions()
        for nodes in (definition.tree.functions, definition.tree.forwards)
        for node in nodes
    }
    variant = program.variant or "the defaults"
    for found in disagreements(program):
        span = spans[found.module, found.forward]
        if found.difference is None:
            diagnostics.report("W0405", span, name=found.forward, module=found.module)
        else:
            diagnostics.report(
                "E0458",
                span,
                name=found.forward,
                module=found.module,
                difference=f"{found.difference:.2g}",
                notes=[f"found for {variant}"],
            )
    for twice in repeated(program):
        span = spans[twice.module, twice.forward]
        values = {"name": twice.cache, "module": twice.module, "reason": twice.reason}
        notes = [f"found for {variant}"]
        diagnostics.report_values("E0465", span, values, notes=notes)
    for row in unheld(program):
        span, path = spans[model.name, row.function], ".".join(row.path)
        diagnostics.report(
            "E0466",
            span,
            name=path,
            reason=row.reason,
            help=row.advice,
            notes=[f"found for {variant}"],
        )
    for name, rows in collisions(program):
        shown = " and ".join(f"`{row}`" for row in rows)
        shown = f"all instances of {shown} are" if len(rows) == 1 else f"{shown} are both"
        notes = [f"found for {variant}"]
        diagnostics.report("E0706", model.tree.span, name=name, rows=shown, notes=notes)
    for section in model.tree.configs:
        try:
            config(program, section.scheme)
        except SpecError as error:
            for fault in error.diagnostics:
                diagnostics.add(replace(fault, span=section.span, notes=(f"found for {variant}",)))
