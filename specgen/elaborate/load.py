"""The front door: a path and a variant in, a checked program out; or every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.elaborate.bind import Override
from specgen.elaborate.consequences import without_consequences
from specgen.elaborate.files import Definition, Loaded, load_files
from specgen.elaborate.recursion import check_recursion
from specgen.ir.model import Program

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


def load_model(path: str | Path, diagnostics: Diagnostics) -> tuple[Loaded, Definition]:
    """The files of a spec and its model.

    Raises:
        SpecError: syntax faults, unknown imports, or a file without exactly one model.
    """
    loaded = load_files(path, diagnostics)
    if loaded is not None:
        check_recursion(loaded, diagnostics)
    if loaded is None or diagnostics.errors:
        raise SpecError(diagnostics.all)
    return loaded, the_model(loaded, diagnostics)


def the_model(loaded: Loaded, diagnostics: Diagnostics) -> Definition:
    models = list(loaded.models())
    if len(models) != 1:
        span = models[1].tree.span if models else None
        diagnostics.report("E0207", span, name=loaded.main.source.name, count=len(models))
        raise SpecError(diagnostics.all)
    return models[0]


def build_program(
    loaded: Loaded, model: Definition, variant: str | None, overrides: Mapping[str, Override]
) -> Program:
    """The IR of one variant of files that are loaded already.

    Raises:
        SpecError: with every fault found.
    """
    from specgen.elaborate.program import assemble

    diagnostics = Diagnostics()
    try:
        program = assemble(loaded, model, variant, overrides, diagnostics)
    except RecursionError:
        too_deep(model, diagnostics)
        program = None
    if program is None:
        raise SpecError(diagnostics.all)
    return program


def too_deep(model: Definition, diagnostics: Diagnostics) -> None:
    """Says so where definitions lead to one another further than can be followed."""
    diagnostics.report("E0119", model.tree.span, name=model.name)


def check_file(path: str | Path) -> Diagnostics:
    """Every fault of a spec: its text, all its modules, and each of its variants."""
    from specgen.check.spec import check_spec

    diagnostics = Diagnostics()
    try:
        loaded = load_files(path, diagnostics)
        if loaded is None:
            return diagnostics
        try:
            check_recursion(loaded, diagnostics)
            check_spec(loaded, diagnostics)
            check_variants(loaded, diagnostics)
        except RecursionError:
            for model in loaded.models():
                too_deep(model, diagnostics)
    except SpecError as error:  # so many faults that one of the steps gave up
        with suppress(SpecError):
            for diagnostic in error.diagnostics:
                diagnostics.add(diagnostic)
        return diagnostics
    return without_consequences(diagnostics, (file.tree for file in loaded.files.values()))


def check_variants(loaded: Loaded, diagnostics: Diagnostics) -> None:
    """Reports what only shows when the params of a model have values."""
    from specgen.elaborate.program import assemble

    for model in loaded.models():
        names: list[str | None] = [variant.name for variant in model.tree.variants]
        if all(param.default is not None for param in model.tree.params):
            names.append(None)
        if len(names) > MAX_VARIANTS:
            span = model.tree.variants[MAX_VARIANTS - 1].span
            diagnostics.report("E0114", span, limit=MAX_VARIANTS, what="variants of a model")
            continue
        for name in names:
            found = Diagnostics()
            program = assemble(loaded, model, name, {}, found)
            if program is not None and not diagnostics.errors:
                try:
                    check_program(program, loaded, model, found)
                except SpecError as error:
                    for diagnostic in error.diagnostics:
                        found.add(diagnostic)
            for diagnostic in found.all:
                diagnostics.add(diagnostic)


def check_program(
    program: Program, loaded: Loaded, model: Definition, diagnostics: Diagnostics
) -> None:
    """What only a whole variant shows: forwards that disagree, names that collide."""
    from specgen.check.equivalence import disagreements
    from specgen.check.released import collisions

    spans = {
        (definition.name, forward.name): forward.span
        for definition in loaded.definitions()
        for forward in definition.tree.forwards
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
    for name, rows in collisions(program):
        shown = " and ".join(f"`{row}`" for row in rows)
        shown = f"all instances of {shown} are" if len(rows) == 1 else f"{shown} are both"
        notes = [f"found for {variant}"]
        diagnostics.report("E0706", model.tree.span, name=name, rows=shown, notes=notes)
