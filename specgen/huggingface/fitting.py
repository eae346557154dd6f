"""Whether a folder of safetensors files is a checkpoint of a table: names, shapes and dtypes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from specgen.analysis.table.leeway import leeway
from specgen.analysis.table.stored import StoredTensor, expand, scheme_of, stored
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.expr.node import Sym
from specgen.huggingface.safetensors import ByteRange, DamagedCheckpoint, stretches
from specgen.ir.model import Program
from specgen.regular_files import real_path

#: Floats that a graph casts to f32 without loss; a release may have any of them for another.
EXACT: Final = frozenset({"f32", "f16", "bf16"})

MISSING: Final = "missing"

#: Faults of one kind that are listed.
MANY: Final = 20


def fitting(
    program: Program, folder: Path, ignore: Sequence[str] = (), *, together: bool = True
) -> Mapping[str, ByteRange]:
    """Where each tensor of the table lies, by its released name.

    `ignore` are patterns (`lm_head.*`) of names that the checkpoint may have in excess.  Files that
    are read `together` with a graph lie in one folder, links followed.

    Raises:
        SpecError: the folder cannot be used, or its tensors are not those of the table; all
            that is missing, in excess or other than it should be is listed.
    """
    diagnostics = Diagnostics()
    found: dict[str, ByteRange] = {}
    try:
        found = stretches(folder)
        if together:
            refuse_scattered(folder, {stretch.file for stretch in found.values()})
    except (DamagedCheckpoint, OSError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        diagnostics.report("E0906", None, path=folder.as_posix(), reason=reason)
    diagnostics.raise_errors()
    listed = list(faults(program, found, ignore))
    if listed:
        diagnostics.report(
            "E0907",
            None,
            notes=shortened(listed),
            help=advice(program, listed),
            path=folder.as_posix(),
            spec=program.label,
            count=f"{len(listed):,}",
        )
    diagnostics.raise_errors()
    return leeway(program, scheme_of(program)).under_usual_names(set(tensors(program)), found)


def advice(program: Program, listed: Sequence[tuple[str, str]]) -> str | None:
    """What to say where just the tensors of parts are missing that a table may have none of.

    So are further layers that a class leaves out when it saves a release again.
    """
    if any(kind != MISSING for kind, _ in listed):
        return None
    missing = {which.partition(" ")[0] for _, which in listed}
    needed = {n: t for n, t in tensors(program).items() if t.first.shared != "copy"}
    for param in program.model.params:
        of_param = {
            name
            for name, tensor in needed.items()
            for index in (*tensor.indices, *tensor.stacked)
            if isinstance(index.count, Sym) and index.count.name == param.name
        }
        if param.kind == "count" and of_param == missing:
            return f"the checkpoint has none of {param.name}: `-D {param.name}=0`"
    return None


def refuse_scattered(folder: Path, files: Iterable[str]) -> None:
    """Runtimes read files of the graph's own folder: that of the links, or the one they lead to."""
    real = {real_path(folder / file).parent for file in files} - {real_path(folder)}
    if len(real) > 1:
        raise DamagedCheckpoint(
            "its files are links into several folders, and runtimes read from one: `--weights embed`"
            " copies what is needed"
        )


def tensors(program: Program) -> Mapping[str, StoredTensor]:
    """Every tensor of the table by its released name."""
    return {
        name: tensor for tensor in stored(program, scheme_of(program)) for name, _ in expand(tensor)
    }


def faults(
    program: Program,
    found: Mapping[str, ByteRange | None],
    ignore: Sequence[str],
    exact: frozenset[str] = EXACT,
) -> Iterator[tuple[str, str]]:
    """What is missing, misshapen, of another dtype or in excess: the kind, and which tensor.

    Of a name without a stretch nothing but the name is known.  Dtypes of `exact` are taken for
    each other.  Names may be spelt, and tensors be there besides, as the table's `names` say.
    """
    needed = tensors(program)
    allowed = leeway(program, scheme_of(program))
    found = allowed.under_usual_names(needed, found)
    for name, tensor in needed.items():
        stretch = found.get(name)
        if stretch is None:
            if name not in found and tensor.first.shared != "copy":  # the graph reads the other
                yield MISSING, f"{name} {list(tensor.dims)}"
        elif stretch.shape != tensor.dims:
            yield "misshapen", f"{name} is {list(stretch.shape)}, not {list(tensor.dims)}"
        elif stretch.dtype != tensor.dtype and not {stretch.dtype, tensor.dtype} <= exact:
            yield "of another dtype", f"{name} is {stretch.dtype}, not {tensor.dtype}"
    for name in found:
        if name in needed or any(fnmatchcase(name, pattern) for pattern in ignore):
            continue
        if not allowed.may_hold(name):
            yield "in excess", name


def shortened(found: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A line for each fault; of very many of a kind, how many more there are."""
    counts: dict[str, int] = {}
    for kind, which in found:
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= MANY:
            yield f"{kind}: {which}"
    yield from (f"{kind}: {n - MANY:,} more" for kind, n in counts.items() if n > MANY)
