"""The build: from a selection of a table to a folder of files, complete or not at all.

Knows the order of the steps; how each file looks is the back ends' business, and how a folder
is replaced that of `folder.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from specgen.backends.base import chosen_targets, require_targets
from specgen.backends.content import Content
from specgen.backends.onnx.options import DEFAULT, Options, OptionsError
from specgen.backends.refusal import Refusal, RefusalSite
from specgen.cache.results import pack, remembered, unpack
from specgen.diagnostics.diagnostic import Diagnostic, Diagnostics, RequestError, SpecError
from specgen.diagnostics.source import Span
from specgen.frontend.selection import Selection
from specgen.language.nesting import nesting
from specgen.output import into_folder as beside
from specgen.output.drift import drift
from specgen.output.folder import EditedFolder, ForeignFolder, replace
from specgen.output.manifest import MANIFEST
from specgen.records import dataclass

if TYPE_CHECKING:
    from specgen.expr.evaluate import Value
    from specgen.frontend.opened import Opened
    from specgen.ir.model import Program


#: Overrides that are spelt out in a folder's name: of so many characters, and of these.
LONGEST: Final = 80
PLAIN: Final = re.compile(r"[A-Za-z0-9_.=,+-]+(?<!\.)")
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}(?<!\.)")

#: What Windows takes for a device whatever follows the dot, and what differs from it in underscores.
DEVICE: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])_*(?![^.])", re.IGNORECASE)


@dataclass(frozen=True)
class Artefacts:
    """The files of one variant; `place` is where they go below the output folder.

    With a `checkpoint` they go into that folder, beside what lies there.  `refused` says why
    targets that were asked for are not among them.
    """

    place: Path
    files: Mapping[str, Content]
    checkpoint: Path | None = None
    refused: Sequence[Diagnostic] = ()

    def folder(self, output: Path) -> Path:
        return self.checkpoint or output / self.place

    def raise_refused(self) -> None:
        """Raises SpecError where a target could not express the table."""
        if self.refused:
            raise SpecError(self.refused)

    def write(self, output: Path, *, force: bool = False) -> bool:
        """Writes them, with `force` over files that were edited; False where they were there."""
        if self.checkpoint is not None:
            return beside.place(self.checkpoint, self.files, force=force)
        return replace(output / self.place, self.files, force=force)


@nesting()
def produce(
    selection: Selection, targets: Sequence[str] | None = None, onnx: Options = DEFAULT
) -> Artefacts:
    """All files for a selection, remembered from an earlier run where nothing has changed.

    What was made from a checkpoint is not remembered: the cache does not know those files.

    A target that cannot express the table is left out, and the others are made.

    Raises:
        SpecError: the table is at fault, or a target was asked for that it has no content for, or
            there is none that can express it.
        RequestError: there is no such target, or options are those of one that is not asked for.
    """
    if targets is not None:
        require_targets(targets)
        if onnx.given() and "onnx" not in targets:
            given = ", ".join(name for name in onnx.given())
            raise OptionsError(f"{given}: options of the target `onnx`, which is not asked for")
    files: Mapping[str, Content]
    refused: Sequence[Diagnostic] = ()
    if onnx.beside_checkpoint:
        if targets is not None and set(targets) != {"onnx"}:
            raise OptionsError(
                "a graph that points into a checkpoint lies there: nothing else does"
            )
        targets = ["onnx"]
    try:
        if onnx.checkpoint is not None:
            files = from_checkpoint(selection, targets, onnx, onnx.checkpoint)
        else:
            names = sorted(targets) if targets is not None else ["*"]
            chosen = (f"{name}={value}" for name, value in onnx.given().items())
            request = ("build", *names, *chosen)
            files = unpack(remembered(selection, request, lambda: packed(selection, targets, onnx)))
    except Incomplete as error:  # which is not remembered: another run says it again
        files, refused = error.files, error.refused
    manifest = files[MANIFEST]
    assert isinstance(manifest, bytes)
    written = json.loads(manifest)
    name = written.get("origin", written["variant"])
    place = Path(no_device(written["spec"]), folder_name(name, written["overrides"]))
    if not onnx.beside_checkpoint:
        return Artefacts(place, files, None, refused)
    others = {name: content for name, content in files.items() if name != MANIFEST}
    return Artefacts(place, {**others, beside.MANIFEST: manifest}, onnx.checkpoint)


def folder_name(name: str | None, overrides: Mapping[str, object]) -> str:
    """The folder of a variant: `llama3_8b`, `default`, or `llama3_8b+n_layers=2` with overrides.

    Where these are many, or hold what is no good name of a file, a digest stands for them.  A
    configuration that is no variant has its own name there, if that is a good one.
    """
    name = name or "default"
    if not NAME.fullmatch(name):
        name = "configuration"
    name = no_device(name)
    if not overrides:
        return name
    given = ",".join(f"{param}={spelt(value)}" for param, value in sorted(overrides.items()))
    if len(given) > LONGEST or not PLAIN.fullmatch(given):
        given = hashlib.sha256(json.dumps(overrides, sort_keys=True).encode()).hexdigest()[:12]
    return f"{name}+{given}"


def no_device(name: str) -> str:
    """A name that is a folder's on every system; different names stay different.

    On Windows all of `nul`, `COM1` and `aux.txt` are devices, in every folder: such a name gets an
    underscore, and so does every name that ends in more of them (`nul_`, `nul__`).
    """
    found = DEVICE.match(name)
    return f"{found[0]}_{name[found.end() :]}" if found else name


def spelt(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


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
    from specgen.output.manifest import manifest

    table = selection.opened()
    program = table.program()
    chosen = chosen_targets(program, targets)
    counts = None
    if any(target.needs_counts for target in chosen):
        from specgen.analysis.quantities.ledger import ledger

        counts = ledger(program)
    files: dict[str, Content] = {}
    refused = Diagnostics()
    written = []
    for target in chosen:
        try:
            made = target.emit(program, onnx, table, counts)
        except Refusal as refusal:
            span = span_of(table, refusal.site)
            refused.report("E0905", span, target=target.name, reason=refusal.reason)
            continue
        written.append(target.name)
        for name, content in made.items():
            assert name not in {*files, MANIFEST}, f"two targets write {name}"
            files[name] = content
    if not written:
        refused.raise_errors()
    header: dict[str, object] = {
        "spec": program.name,
        "variant": program.variant,
        **({"origin": program.origin} if program.origin else {}),
        "overrides": overridden(program, selection),
        "spec_hash": program.hash,
        "language": program.edition,
        "targets": written,
    }
    if options := onnx.given():
        header["onnx"] = options
    if "onnx" in written:
        from specgen.backends.onnx.opening import opening

        header["session"] = opening(program, onnx, overridden(program, selection))
    complete = {**files, MANIFEST: manifest(header, files)}
    if refused.all:
        raise Incomplete(complete, refused.all)
    return complete


def span_of(table: Opened, site: RefusalSite | None) -> Span:
    """Where in the spec's text a site is: as near to it as the names lead, at least the model."""
    functions = {one.tree.name: one.tree.span for one in table.loaded.functions()}
    if site is not None and not site.module and site.name in functions:
        return functions[site.name]
    found = [d.tree for d in table.loaded.definitions() if site and d.name == site.module]
    module = found[0] if found else table.model.tree
    spans = {row.path.text: row.span for row in module.tensors}
    spans |= {part.name: part.span for part in module.parts}
    spans |= {function.name: function.span for function in module.functions}
    spans |= {forward.name: forward.span for forward in reversed(module.forwards)}
    return spans.get(site.name if site else "", module.span)


class Incomplete(Exception):
    """Some targets cannot express the table: what the others made, and why they cannot."""

    def __init__(self, files: dict[str, Content], refused: Sequence[Diagnostic]) -> None:
        super().__init__(refused)
        self.files = files
        self.refused = refused


def overridden(program: Program, selection: Selection) -> dict[str, Value]:
    """The overridden parameters with the values that they got."""
    return {name: program.values[name] for name in sorted(selection.overrides)}


def require_places(artefacts: Sequence[Artefacts]) -> None:
    """Refuses two tables for one folder, which would leave the second only."""
    places = [item.folder(Path()) for item in artefacts]
    for place in places:
        if places.count(place) > 1:
            raise RequestError(f"two of the tables go to {place.as_posix()}")


def write(
    artefacts: Sequence[Artefacts], output: Path, *, force: bool = False
) -> list[tuple[Path, bool]]:
    """Writes each variant's folder; says which ones were not up to date.

    Raises:
        SpecError: a folder cannot be written, is not specgen's to replace, or holds files that
            were edited, and `force` was not given.
    """
    require_places(artefacts)
    written = []
    diagnostics = Diagnostics()
    for item in artefacts:
        folder = item.folder(output)
        try:
            written.append((folder, item.write(output, force=force)))
        except ForeignFolder as error:
            diagnostics.report("E0902", None, path=folder.as_posix(), reason=error)
        except EditedFolder as error:
            help_ = (
                "`--force` replaces them; `-o DIR` builds elsewhere; `--check` shows the difference"
            )
            diagnostics.report("E0908", None, path=folder.as_posix(), files=error, help=help_)
        except OSError as error:
            reason = error.strerror or str(error)
            diagnostics.report("E0901", None, path=folder.as_posix(), reason=reason)
    diagnostics.raise_errors()
    return written


def differences(artefacts: Sequence[Artefacts], output: Path) -> list[str]:
    """The lines of a diff from what stands in the output folder to what a build would write.

    Raises:
        SpecError: a folder cannot be read.
    """
    require_places(artefacts)
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
