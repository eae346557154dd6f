"""Safetensors in the released naming: read into a model, and written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from os.path import commonprefix
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from specgen.backends.pytorch.runtime.narrow import widened
from specgen.backends.pytorch.runtime.stored import Stored, stored_copies, stored_tensors
from specgen.backends.pytorch.runtime.tables import (
    BESIDES,
    COPIES,
    DTYPES,
    FLOATS,
    INDEX,
    RESPELLINGS,
    Kind,
)


def load(
    model: Any, path: str | Path, ignore: Sequence[str] = (), progress: Callable[..., Any] = iter
) -> None:
    """What `Model.load_checkpoint` does."""
    plan = planned(model)
    checkpoint = Checkpoint(path)
    needed = {name: kind for stored in plan for name, kind in stored.kinds.items()}
    if COPIES:
        copies = dict(stored_copies(model))
        needed |= {name: needed[original] for name, original in copies.items()}
    if RESPELLINGS:
        spell(checkpoint, needed)
    faults = list(checkpoint.faults(needed, ignore))
    if COPIES:
        faults = faults or list(differences(checkpoint, copies))
    if faults:
        raise ValueError("\n".join([f"{path} does not fit this model:", *shortened(faults)]))
    with torch.no_grad():
        for stored in progress(plan):
            for row, value in zip(stored.rows, stored.unpack(*map(checkpoint.read, stored.kinds))):
                row.copy_(value)


def save(model: Any, folder: str | Path, shard: int = 5 * 10**9) -> None:
    """What `Model.save_checkpoint` does."""
    plan, folder = planned(model), Path(folder)
    unknown = [name for stored in plan if stored.pack is None for name in stored.kinds]
    if unknown:
        raise ValueError(f"what these hold is not known how to store: {', '.join(unknown[:4])}")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".saving-", dir=folder) as temporary:
        place, held, size = Path(temporary), list[list[str]](), 0
        for tensors in shards(model, plan, shard):
            save_file(tensors, place / str(len(held)), metadata={"format": "pt"})
            held.append(list(tensors))
            size += sum(tensor.nbytes for tensor in tensors.values())
        count, single, index = len(held), folder / "model.safetensors", folder / INDEX
        if count == 1:
            (place / "0").replace(single)
            index.unlink(missing_ok=True)
            return
        files = [f"model-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
        weight_map = {name: file for file, names in zip(files, held) for name in names}
        document = {"metadata": {"total_size": size}, "weight_map": weight_map}
        text = json.dumps(document, indent=2, sort_keys=True)
        (place / INDEX).write_text(f"{text}\n", encoding="utf-8")
        for number, file in enumerate(files):
            (place / str(number)).replace(folder / file)
        (place / INDEX).replace(index)
        single.unlink(missing_ok=True)


def shards(model: Any, plan: list[Stored], most: int) -> Iterator[dict[str, Tensor]]:
    """All tensors, as many at a time as fit into `most` bytes, or one that does not."""
    if COPIES:
        copies = list(stored_copies(model))
    held: dict[str, Tensor] = {}
    for stored in plan:
        assert stored.pack is not None
        tensors = dict(zip(stored.kinds, stored.pack(*stored.rows)))
        if COPIES:
            again = [pair for pair in copies if pair[1] in tensors]
            tensors |= {name: tensors[original].clone() for name, original in again}
        if held and sum(t.nbytes for t in (*held.values(), *tensors.values())) > most:
            yield held
            held = {}
        held |= {name: tensor.contiguous() for name, tensor in tensors.items()}
    yield held


def planned(model: Any) -> list[Stored]:
    """How each of the model's parameters is stored."""
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ValueError("the model is on the meta device: model.to_empty(device=...) first")
    plan = list(stored_tensors(model))
    known = sum(row.numel() for stored in plan for row in stored.rows)
    count = sum(values.numel() for values in model.state_dict().values())
    if known != count:
        raise ValueError(f"{__file__} is for another model: of {known:,} values, not {count:,}")
    return plan


class Checkpoint:
    """The tensors of safetensors files, which are mapped: one is read when it is asked for."""

    def __init__(self, path: str | Path) -> None:
        path, places = Path(path), dict[str, str]()
        index = path if path.name.endswith(".index.json") else path / INDEX
        if index == path or index.is_file():
            try:
                text = index.read_text(encoding="utf-8")
                places = json.loads(text, object_pairs_hook=once)["weight_map"]
                names = sorted(set(places.values()))
                if not names or not all(re.fullmatch(r"[^/\\\0]*\.safetensors", n) for n in names):
                    raise ValueError(f"files beside it are needed, not {names}")
                files = [index.parent / name for name in names]
            except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
                raise ValueError(f"{index} does not say where tensors are: {error!r}") from None
        else:
            whole = [file for file in (path, path / "model.safetensors") if file.is_file()]
            files = whole[:1] or sorted(path.glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(f"there is no safetensors file at {path}")
        self.tensors: dict[str, tuple[Any, str]] = {}  # the file, and its name there
        found: dict[str, str] = {}
        for file in files:
            try:
                opened = safe_open(file, framework="pt")  # compares its header with its length
            except (SafetensorError, OSError) as error:
                raise ValueError(safe(f"{file} cannot be read: {error}")) from None
            for name in list(opened.keys()):
                if name in found:
                    raise ValueError(safe(f"{name} is in two files: {found[name]}, {file.name}"))
                self.tensors[name], found[name] = (opened, name), file.name
        for name, place in places.items():
            if found.get(name) != place:
                raise ValueError(safe(f"{index} has {name} in {place}, which does not hold it"))

    def read(self, name: str) -> Tensor:
        file, own = self.tensors[name]
        if DTYPES:
            return widened(file.get_tensor(own))
        else:
            return file.get_tensor(own)

    def faults(self, needed: dict[str, Kind], ignore: Sequence[str]) -> Iterator[str]:
        """What is missing, not as it is needed, or in excess."""
        for name, (dtype, shape) in needed.items():
            if name not in self.tensors:
                yield f"missing: {name} {list(shape)}"
                continue
            file, own = self.tensors[name]
            found = file.get_slice(own)
            if tuple(found.get_shape()) != shape:
                yield f"misshapen: {name} is {found.get_shape()}, not {list(shape)}"
            if found.get_dtype() not in ([dtype] if dtype else FLOATS):
                yield f"wrong dtype: {name} is {found.get_dtype()}, not {dtype or 'a float'}"
        excess = [name for name in self.tensors if name not in needed]
        excess = [name for name in excess if not any(fnmatchcase(name, p) for p in ignore)]
        if BESIDES:
            excess = [name for name in excess if not is_besides(name)]
        yield from (f"in excess: {safe(name)}" for name in excess)
        prefix = commonprefix(excess).rpartition(".")[0]
        if len(excess) > 1 and prefix:
            yield safe(f'hint: ignore=["{prefix}.*"] leaves aside the {len(excess):,} in excess')


def safe(text: str) -> str:
    """A text with names out of files: what would do something to a terminal is escaped."""
    return text if text.isprintable() else ascii(text)[1:-1]


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON in which each key is there once."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def spell(checkpoint: Checkpoint, needed: dict[str, Kind]) -> None:
    """Takes tensors that are spelt otherwise under the names that are needed."""
    found = checkpoint.tensors
    for name in [name for name in found if name not in needed]:
        for usual in usual_names(name):
            if usual in needed and usual not in found:
                found[usual] = found.pop(name)
                break


def differences(checkpoint: Checkpoint, copies: dict[str, str]) -> Iterator[str]:
    """Which copies are not equal to what they are copies of."""
    for name, original in copies.items():
        if not torch.equal(checkpoint.read(name), checkpoint.read(original)):
            yield f"not equal to {original}: {name}"


def usual_names(name: str) -> Iterator[str]:
    """What a name of a checkpoint may be in the usual spelling."""
    yield name
    if RESPELLINGS:
        for usual, other in RESPELLINGS:
            rest = name.removeprefix(f"{other}.")
            if not other or rest != name:
                yield f"{usual}.{rest}"


def is_besides(name: str) -> bool:
    """Whether a tensor may be there that the model does not need."""
    regexes = [re.sub(r"\\{.*?\\}", r"\\d+", re.escape(pattern)) for pattern in BESIDES]
    return any(re.fullmatch(regex, usual) for regex in regexes for usual in usual_names(name))


def shortened(faults: Sequence[str], most: int = 20) -> Iterator[str]:
    """The first faults of each kind, and how many more there are."""
    counts: dict[str, int] = {}
    for fault in faults:
        kind = fault.partition(":")[0]
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] <= most:
            yield fault
    yield from (f"{kind}: {n - most:,} more" for kind, n in counts.items() if n > most)
