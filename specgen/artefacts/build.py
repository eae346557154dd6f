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

from specgen.artefacts import beside
from specgen.artefacts.content import Content
from specgen.artefacts.drift import drift
from specgen.artefacts.folder import ForeignFolder, replace
from specgen.artefacts.manifest import MANIFEST
from specgen.backends.onnx.options import DEFAULT, Options, OptionsError
from specgen.cache.results import pack, remembered, unpack
from specgen.diagnostics.diagnostic import Diagnostics, SpecError
from specgen.selection import Selection

if TYPE_CHECKING:
    from specgen.ir.model import Program


@dataclass(frozen=True)
class Artefacts:
    """The files of one variant; `place` is where they go below the output folder.

    With a `checkpoint` they go into that folder, beside what lies there.
    """

    place: Path
    files: Mapping[str, Content]
    checkpoint: Path | None = None

    def folder(self, output: Path) -> Path:
        return self.checkpoint or output / self.place

    def write(self, output: Path) -> bool:
        """Writes them; False where they were there already."""
        if self.checkpoint is not None:
            return beside.place(self.checkpoint, self.files)
        return replace(output / self.place, self.files)


def produce(
    selection: Selection, targets: Sequence[str] | None = None, onnx: Options = DEFAULT
) -> Artefacts:
    """All files for a selection, remembered from an earlier run where nothing has changed.

    What was made from a checkpoint is not remembered: the cache does not know those files.

    Raises:
        SpecError: the table is at fault, or a target was asked for that it has no content for.
        OptionsError: other targets than onnx for the folder of a checkpoint.
    """
    files: Mapping[str, Content]
    if onnx.beside_checkpoint:
        if targets is not None and set(targets) != {"onnx"}:
            raise OptionsError(
                "a graph that points into a checkpoint lies there: nothing else does"
            )
        targets = ["onnx"]
    if onnx.checkpoint is not None:
        files = from_checkpoint(selection, targets, onnx, onnx.checkpoint)
    else:
        names = sorted(targets) if targets is not None else ["*"]
        request = ("build", *names, *(f"{name}={value}" for name, value in onnx.given().items()))
        files = unpack(remembered(selection, request, lambda: packed(selection, targets, onnx)))
    manifest = files[MANIFEST]
    assert isinstance(manifest, bytes)
    written = json.loads(manifest)
    place = Path(written["spec"], written["variant"] or "default")
    if not onnx.beside_checkpoint:
        return Artefacts(place, files)
    others = {name: content for name, content in files.items() if name != MANIFEST}
    return Artefacts(place, {**others, beside.MANIFEST: manifest}, onnx.checkpoint)


def from_checkpoint(
    selection: Selection, targets: Sequence[str] | None, onnx: Options, checkpoint: Path
) -> dict[str, Content]:
    """`emit`; that the checkpoint cannot be read any more is no fault of specgen."""
    try:
        return emit(selection, targets, onnx)
    except OSError as error:
        diagnostics = Diagnostics()
        reason = error.strerror or str(error)
        diagnostics.report("E0906", None, path=checkpoint.as_posix(), reason=reason)
        raise SpecError(diagnostics.all) from error


def packed(selection: Selection, targets: Sequence[str] | None, onnx: Options) -> bytes:
    """All files for a selection as one result; nothing of it is copied from elsewhere."""
    files = emit(selection, targets, onnx)
    return pack({name: content for name, content in files.items() if isinstance(content, bytes)})


def emit(selection: Selection, targets: Sequence[str] | None, onnx: Options) -> dict[str, Content]:
    """All files for a selection, made anew; the manifest is the last of them."""
    from specgen.artefacts.manifest import manifest
    from specgen.artefacts.targets import chosen_targets

    table = selection.opened()
    program = table.program()
    chosen = chosen_targets(program, targets)
    counts = None
    if any(target.needs_counts for target in chosen):
        from specgen.analysis.quantities import ledger

        counts = ledger(program)
    files: dict[str, Content] = {}
    for target in chosen:
        for name, content in target.emit(program, onnx, table, counts).items():
            assert name not in {*files, MANIFEST}, f"two targets write {name}"
            files[name] = content
    header: dict[str, object] = {
        "spec": program.name,
        "variant": program.variant,
        "overrides": overridden(program, selection),
        "spec_hash": program.source_hash,
        "language": program.edition,
        "targets": [target.name for target in chosen],
    }
    if options := onnx.given():
        header["onnx"] = options
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
        folder = item.folder(output)
        try:
            written.append((folder, item.write(output)))
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
        folder = item.folder(output)
        try:
            found += drift(folder, item.files, alone=item.checkpoint is None)
        except OSError as error:
            reason = error.strerror or str(error)
            diagnostics.report("E0904", None, path=folder.as_posix(), reason=reason)
    diagnostics.raise_errors()
    return found
