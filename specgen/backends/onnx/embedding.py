"""Weights taken out of a checkpoint: into the graph's own file, or one beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from specgen.backends.content import Content, ContentPart, Copied, chunks
from specgen.backends.onnx.initializers import StoredInitializer
from specgen.backends.onnx.weights import LOCATION, Embedded, Placed, laid_out

#: protobuf's limit is 2 GiB a file; the rest is for the graph.
MAX_EMBEDDED: Final = 2**31 - 2**26


def embedded(stored: Sequence[StoredInitializer], folder: Path) -> Iterator[Embedded | Placed]:
    """Initializers with their bytes, or with places in one file where those are too many.

    Raises:
        OSError: the checkpoint cannot be read any more.
    """
    if sum(one.bytes for one in stored) > MAX_EMBEDDED:
        yield from laid_out(stored)
        return
    for one in stored:
        yield Embedded(one, b"".join(chunks(Copied(tuple(parts(one, folder))))))


def copies(weights: Iterable[Embedded | Placed], folder: Path) -> dict[str, Content]:
    """The file that initializers lie in which are not embedded."""
    found: list[ContentPart] = []
    end = 0
    for placed in weights:
        if isinstance(placed, Placed):
            found += [ContentPart(None, 0, placed.offset - end), *parts(placed.stored, folder)]
            end = placed.offset + placed.stored.bytes
    return {LOCATION: Copied(tuple(found))} if found else {}


def parts(stored: StoredInitializer, folder: Path) -> Iterator[ContentPart]:
    """Where the bytes of an initializer lie in the checkpoint."""
    for source in stored.sources:
        yield ContentPart(folder / source.file, source.start, source.length)
