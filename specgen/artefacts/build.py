"""The build: from a selection of a table to a folder of files, complete or not at all.

Knows the order of the steps; how each file looks is the back ends' business, and how a folder
is replaced that of `folder.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from specgen.artefacts.drift import drift
from specgen.artefacts.folder import ForeignFolder, replace
from specgen.artefacts.manifest import MANIFEST
from specgen.cache.results import pack, remembered, unpack
from specgen.diagnostics.diagnostic import Diagnostics
from specgen.selection import Selection

if TYPE_CHECKING:
    from specgen.ir.model import Program


@dataclass(frozen=True)
class Artefacts:
    """The files of one variant; `place` is where they go below the output folder."""

    place: Path
    files: Mapping[str, bytes]


def produce(selection: Selection, targets: Sequence[str] | None = None) -> Artefacts:
    """All files for a selection, remembered from an earlier run where nothing has changed.

    Raises:
        SpecError: the table is at fault, or a target was asked for that it has no content for.
    """
    request = ("build", *(sorted(targets) if targets is not None else ["*"]))
    files = unpack(remembered(selection, request, lambda: pack(emit(selection, targets))))
    written = json.loads(files[MANIFEST])
    return Artefacts(Path(written["spec"], written["variant"] or "default"), files)


def emit(selection: Selection, targets: Sequence[str] | None) -> dict[str, bytes]:
    """All files for a selection, made anew; the manifest is the last of them."""
    from specgen.artefacts.manifest import manifest
    from specgen.artefacts.targets import chosen_targets

    program = selection.program()
    chosen = chosen_targets(program, targets)
    files: dict[str, bytes] = {}
    for target in chosen:
        for name, data in target.emit(program).items():
            assert name not in {*files, MANIFEST}, f"two targets write {name}"
            files[name] = data
    header = {
        "spec": program.name,
        "variant": program.variant,
        "overrides": overridden(program, selection),
        "spec_hash": program.source_hash,
        "language": program.edition,
        "targets": [target.name for target in chosen],
    }
    return {**files, MANIFEST: manifest(header, files)}


def overridden(program: Program, selection: Selection) -> dict[str, object]:
    """The overridden parameters with the values that they got."""
    return {name: program.values[name] for name in sorted(selection.overrides)}


def write(artefacts: Iterable[Artefacts], output: Path) -> list[tuple[Path, bool]]:
    """Writes each variant's folder; says which ones were not up to date.

    Raises:
        SpecError: a folder cannot be written, or is not specgen's to replace.
    """
    written = []
    diagnostics = Diagnostics()
    for item in artefacts:
        folder = output / item.place
        try:
            written.append((folder, replace(folder, item.files)))
        except ForeignFolder as error:
            diagnostics.report("E0902", None, path=folder.as_posix(), reason=error)
        except OSError as error:
            reason = error.strerror or str(error)
            diagnostics.report("E0901", None, path=folder.as_posix(), reason=reason)
    diagnostics.raise_errors()
    return written


def differences(artefacts: Iterable[Artefacts], output: Path) -> list[str]:
    """The lines of a diff from what stands in the output folder to what a build would write.

    Raises:
        SpecError: a folder cannot be read.
    """
    found: list[str] = []
    diagnostics = Diagnostics()
    for item in artefacts:
        folder = output / item.place
        try:
            found += drift(folder, item.files)
        except OSError as error:
            reason = error.strerror or str(error)
            diagnostics.report("E0904", None, path=folder.as_posix(), reason=reason)
    diagnostics.raise_errors()
    return found
