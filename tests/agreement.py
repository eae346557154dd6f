"""One table in every layer: the interpreter's numbers, those of model.py, and those of model.onnx.

The interpreter evaluates the IR in 64 bits and shares no meaning with back ends.  A table is run
whole, and again piece by piece with a cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")

import torch
from safetensors.numpy import save_file

from specgen.analysis.table.stored import expand, scheme_of, stored
from specgen.backends.onnx.build import build
from specgen.backends.onnx.options import DEFAULT, Options
from specgen.frontend.load import check_file, load_program
from specgen.ir.model import Program
from specgen.ir.roots import is_language_model
from tests.numeric.generated import imported
from tests.numeric.interpreted import interpreter
from tests.onnx.session import fill, ort

Array = np.ndarray

#: What float32 may differ from 64 bits by, in units of the greatest number.
TOLERANCE = 2e-4

#: Every form of model.onnx that a table must agree in.
EVERY = (
    DEFAULT,
    Options(onnx_form="functions"),
    Options(ops="primitive"),
    Options(ops="ort"),
    Options(ops="primitive", onnx_form="functions"),
    Options(experts="released"),
    Options(experts="dense"),
    Options(experts="gathered", form="expanded"),
)


#: The lengths of the pieces in which a table is run, and the padding of one of its sequences.
RUNS = (((7,), 0), ((7,), 2), ((4, 1, 2), 0), ((4, 1, 2), 2))


@dataclass(frozen=True)
class Step:
    """New tokens [B, S] with the positions of them, and the mask [B, T] of all so far."""

    tokens: Array
    positions: Array
    mask: Array


def steps(vocabulary: int, pieces: Sequence[int], seed: int, padding: int = 0) -> list[Step]:
    """Two sequences in pieces of these lengths; the second begins with `padding`."""
    length = sum(pieces)
    tokens = np.random.default_rng(seed).integers(0, vocabulary, (2, length))
    mask = np.ones((2, length), np.bool_)
    mask[1, :padding] = False
    positions = np.maximum(mask.cumsum(1) - 1, 0)
    found, start = [], 0
    for piece in pieces:
        stop = start + piece
        found.append(Step(tokens[:, start:stop], positions[:, start:stop], mask[:, :stop]))
        start = stop
    return found


@dataclass
class Layers:
    """A program in each layer, all with the same random weights."""

    program: Program = field(repr=False)
    folder: Path
    seed: int = 0
    model: Any = field(init=False, repr=False)
    weights: dict[str, Array] = field(init=False, repr=False)
    sessions: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.module = imported(self.program, self.folder)
        self.weights = drawn(self.program, self.seed)
        path = self.folder / "drawn.safetensors"
        save_file(self.weights, path)
        self.model = self.module.Model(self.module.Config()).eval()
        self.model.load_checkpoint(path)

    def interpreted(self, taken: Sequence[Step]) -> list[Array]:
        forward = self.program.model.forward
        assert forward is not None
        root, found = interpreter(self.program, self.model), []
        for step in taken:
            axes = {"B": len(step.tokens), "S": step.tokens.shape[1], "T": step.mask.shape[1]}
            args = [getattr(step, argument.name) for argument in forward.args]
            (result,) = root.call(forward, args, axes)
            found.append(np.asarray(result))
            root.advance()
        return found

    def torch(self, taken: Sequence[Step], *, masked: bool = True) -> list[Array]:
        """With a cache if there is more than one step; without a mask if nothing is padded."""
        forward, cached = self.program.model.forwards[0], {}
        if hasattr(self.model, "new_cache") and len(taken) > 1:
            cached["cache"] = self.model.new_cache(len(taken[0].tokens))
        found = []
        with torch.no_grad():
            for step in taken:
                mask = torch.from_numpy(step.mask) if masked else None
                tokens = torch.from_numpy(step.tokens)
                if is_language_model(forward):
                    found.append(self.model(tokens, mask=mask, **cached).numpy())
                    continue
                args = [torch.from_numpy(np.array(getattr(step, a.name))) for a in forward.args]
                found.append(self.model(*args, **cached).numpy())
        return found

    def session(self, options: Options = DEFAULT) -> Any:
        """model.onnx in onnxruntime; opened once for all that is asked of it."""
        key = "-".join(map(str, (*options.given().values(), "graph")))
        if key not in self.sessions:
            folder = self.folder / key
            folder.mkdir(exist_ok=True)
            path = fill(build(self.program, options), self.weights, folder)
            settings = ort.SessionOptions()
            settings.intra_op_num_threads = 1
            settings.log_severity_level = 3
            providers = ["CPUExecutionProvider"]
            self.sessions[key] = ort.InferenceSession(path, settings, providers=providers)
        return self.sessions[key]

    def onnx(self, taken: Sequence[Step], options: Options = DEFAULT) -> list[Array]:
        session = self.session(options)
        inputs = {value.name: value for value in session.get_inputs()}
        batch = len(taken[0].tokens)
        cache = {
            name: np.zeros([{"batch": batch, "past": 0}.get(d, d) for d in value.shape], np.float32)
            for name, value in inputs.items()
            if name.startswith("past_key_values.")
        }
        found = []
        for step in taken:
            given = {
                "input_ids": step.tokens,
                "position_ids": step.positions,
                "attention_mask": step.mask.astype(np.int64),
                **{name: getattr(step, name) for name in ("tokens", "positions", "mask")},
            }
            feeds = {name: array for name, array in given.items() if name in inputs}
            names = [value.name for value in session.get_outputs()]
            results = dict(zip(names, session.run(names, {**feeds, **cache}), strict=True))
            cache = {name: results[name.replace("past_key_values", "present")] for name in cache}
            found.append(results[names[0]])
        return found


def drawn(program: Program, seed: int) -> dict[str, Array]:
    """A checkpoint of the program.

    Small numbers hide what is wrong, and large ones saturate.  All are exact in bf16, as some
    rows are stored.  Whole numbers are small enough to be places of another row.
    """
    random, found = np.random.default_rng(seed), {}
    for tensor in stored(program, scheme_of(program)):
        shape = tensor.dims
        for name, _ in expand(tensor):
            if tensor.dtype == "i64":
                found[name] = random.integers(0, 5, shape)
                continue
            values = random.normal(1.0 if len(shape) == 1 else 0.0, 0.3, shape)
            found[name] = torch.from_numpy(values).bfloat16().float().numpy()
    return found


def checked(path: Path) -> Program:
    """The program of a table in which `check` finds nothing."""
    found = check_file(path)
    assert not found.all, [diagnostic.message for diagnostic in found.all]
    return load_program(path)


def differences(
    table: Layers, vocabulary: int, options: Sequence[Options] = EVERY, seed: int = 0
) -> Iterator[str]:
    """Where layers do not agree, in words: each layer against the interpreter."""
    cached = hasattr(table.model, "new_cache")
    for pieces, padding in RUNS if cached else [run for run in RUNS if len(run[0]) == 1]:
        taken = steps(vocabulary, pieces, seed, padding)
        expected = table.interpreted(taken)
        found = {"model.py": table.torch(taken)}
        if not padding:
            found["model.py without a mask"] = table.torch(taken, masked=False)
        for option in options:
            found[f"onnx {option.given()}"] = table.onnx(taken, option)
        for layer, arrays in found.items():
            reason = unequal(arrays, expected)
            if reason:
                yield f"{layer}, pieces {pieces}, padding {padding}: {reason}"


def unequal(found: Sequence[Array], expected: Sequence[Array]) -> str | None:
    for number, (given, meant) in enumerate(zip(found, expected, strict=True)):
        if given.shape != meant.shape:
            return f"step {number} has shape {given.shape}, not {meant.shape}"
        have, want = given.astype(np.float64), meant.astype(np.float64)
        scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0.0)))
        if not np.allclose(have, want, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
            off = np.abs(have - want)
            at = np.unravel_index(np.nanargmax(np.where(have == want, 0, off)), off.shape)
            place = [int(axis) for axis in at]
            return f"step {number} is off by {off[at]:.3g} at {place} (scale {scale:.3g})"
    return None
