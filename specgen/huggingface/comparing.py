"""A released checkpoint or configuration against a table: what differs, folded into a short list.

Reads headers only.  Names that differ in numbers alone are one line: 90,000 tensors of a model that
is another are not 90,000 lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.huggingface.configuration_file import CONFIGURATIONS
from specgen.huggingface.fitting import faults
from specgen.huggingface.safetensors import (
    INDEX,
    SUFFIX,
    ByteRange,
    DamagedCheckpoint,
    header,
    index,
    stretches,
)
from specgen.records import dataclass
from specgen.text.json_text import json_text

if TYPE_CHECKING:
    from specgen.frontend.selection import Selection
    from specgen.ir.model import Program

#: A file that holds a part of a checkpoint.
SHARD: Final = re.compile(r"-(\d+)-of-(\d+)\.safetensors$")

#: A number that is a step of a name.
NUMBER: Final = re.compile(r"(?<![^.])\d+(?![^.])")


@dataclass(frozen=True, slots=True)
class CheckpointDifference:
    """Tensors that differ in one way: `count` of them, of which `name` is the first.

    `pattern` is the name with `*` for each number that is not the same in all; `says` is how
    they differ (`is [3], not [4]`), or the shape of what is missing.  Of a configuration,
    `pattern` is a parameter.
    """

    kind: str
    pattern: str
    says: str
    count: int
    name: str


@dataclass(frozen=True, slots=True)
class CheckpointComparison:
    """What was compared: `judged` says it in words; no differences mean that it fits."""

    judged: str
    differences: tuple[CheckpointDifference, ...]

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it."""
        return {
            "fits": not self.differences,
            "judged": self.judged,
            "differences": [asdict(one) for one in self.differences],
        }

    def render(self, form: str, table: str) -> bytes:
        """The comparison as text or JSON; `table` is what the user calls it."""
        if form == "json":
            return json_text(self.document).encode()
        lines = [f"{table}: {self.judged}"]
        for one in self.differences:
            several = f" ({one.count:,}, the first is {one.name})" if one.count > 1 else ""
            lines.append(f"{one.kind}: {one.pattern} {one.says}".rstrip() + several)
        lines.append("they differ" if self.differences else "it fits")
        return "\n".join([*lines, ""]).encode()


def compare(selection: Selection, path: Path, ignore: Sequence[str] = ()) -> CheckpointComparison:
    """A safetensors file, an index, a folder of them, or a config.json against a table.

    A file that is one of several is held against the table for what it has, and nothing is
    missing from it.  `ignore` are patterns of names that may be there in excess.

    Raises:
        SpecError: the path cannot be read as any of them, or the table is at fault.
    """
    program = selection.program()
    try:
        if is_configuration(path):
            return configured(selection, program, path)
        return checkpointed(program, path, ignore)
    except (DamagedCheckpoint, OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        diagnostics = Diagnostics()
        diagnostics.report("E0906", None, path=path.as_posix(), reason=reason)
        diagnostics.raise_errors()
        raise


def is_configuration(path: Path) -> bool:
    if path.is_dir():
        weights = any(name.name.endswith((SUFFIX, INDEX)) for name in path.iterdir())
        return not weights and (path / CONFIGURATIONS).is_file()
    return path.suffix == ".json" and not path.name.endswith(".index.json")


def configured(selection: Selection, program: Program, path: Path) -> CheckpointComparison:
    """The parameters that a configuration sets, where they are other than the table's."""
    from specgen.frontend.load import load_program
    from specgen.huggingface.configuration import loaded
    from specgen.huggingface.reading import overrides_from_config

    content = loaded(path / CONFIGURATIONS if path.is_dir() else path)
    given = overrides_from_config(program, content)
    other = load_program(selection.path, None, given)
    found = tuple(
        CheckpointDifference("param", name, f"is {other.values[name]}, not {value}", 1, name)
        for name, value in program.values.items()
        if name in given and other.values[name] != value
    )
    return CheckpointComparison(f"{len(given)} parameters", found)


def checkpointed(program: Program, path: Path, ignore: Sequence[str]) -> CheckpointComparison:
    """Names, shapes and dtypes of tensors."""
    if path.suffix == ".gguf":
        raise DamagedCheckpoint("GGUF is not read yet: give the safetensors it was made from")
    if path.is_dir():
        return listed(f"{path.name}/", program, stretches(path), ignore)
    if path.name.endswith(".index.json"):
        names = index(path)
        if all((path.parent / file).exists() for file in names.values()):
            return listed(path.name, program, stretches(path.parent), ignore)
        differences = list(faults(program, dict.fromkeys(names), ignore, frozenset()))
        return CheckpointComparison(
            f"{len(names):,} names; the files are not there", folded(differences)
        )
    found = header(path)
    part = SHARD.search(path.name)
    if part is None or int(part[2]) == 1:
        return listed(path.name, program, found, ignore)
    kept = [f for f in faults(program, found, ignore, frozenset()) if f[0] != "missing"]
    said = f"{len(found):,} tensors of one of {int(part[2])} files, so none is missing"
    return CheckpointComparison(said, folded(kept))


def listed(
    name: str, program: Program, found: Mapping[str, ByteRange], ignore: Sequence[str]
) -> CheckpointComparison:
    differences = folded(faults(program, found, ignore, frozenset()))
    return CheckpointComparison(f"{len(found):,} tensors of {name}", differences)


def folded(found: Iterable[tuple[str, str]]) -> tuple[CheckpointDifference, ...]:
    """One entry for those of a kind whose names differ in numbers only."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for kind, which in found:
        name, _, says = which.partition(" ")
        groups.setdefault((kind, NUMBER.sub("*", name), says), []).append(name)
    return tuple(
        CheckpointDifference(kind, pattern(names), says, len(names), names[0])
        for (kind, _, says), names in groups.items()
    )


def pattern(names: Sequence[str]) -> str:
    """The names' common text: numbers that are the same in all stay, others are `*`."""
    return ".".join(merged(zip(*(name.split(".") for name in names), strict=True)))


def merged(steps: Iterable[tuple[str, ...]]) -> Iterator[str]:
    for step in steps:
        yield step[0] if len(set(step)) == 1 else "*"
