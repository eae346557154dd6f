"""A table run as PyTorch on a reference's weights: how far its logits are off.

Bodies that a table declares equal to a platform operation are written out, and each alternative
forward takes the main one's place in turn, so that an edit of either cannot hide.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from specgen.backends.pytorch import emit
from specgen.frontend.load import load_program
from specgen.ir.model import Module, Program
from tests.mutants.references import LENGTH, Reference

#: The tokens of the first of the two passes with a cache; the rest come one at a time.
PROMPT = 9


def distance(spec: Path, reference: Reference, folder: Path, *, shipped: bool = False) -> float:
    """The greatest |Δlogit| of all ways to run the table; infinite if one gives no number.

    `shipped` runs it as a build does: platform operations, and forwards chosen by cost.
    """
    program = load_program(spec, overrides=reference.params)
    found = []
    for number, version in enumerate([program] if shipped else versions(program)):
        generated = imported(version, folder / f"model_{number}.py")
        model = generated.Model(generated.Config()).eval()
        model.load_checkpoint(reference.checkpoint)
        with torch.no_grad():
            found += list(differences(model, reference))
    return max(torch.nan_to_num(d, nan=torch.inf).max().item() for d in found)


def versions(program: Program) -> Iterator[Program]:
    """The program once for each name of a forward, which is the only one there."""
    functions = {name: replace(f, intrinsic=None) for name, f in program.functions.items()}
    names = {forward.name for module in program.modules.values() for forward in module.forwards}
    for name in sorted(names):
        modules = {id_: with_forward(module, name) for id_, module in program.modules.items()}
        yield replace(program, modules=modules, functions=functions)


def with_forward(module: Module, name: str) -> Module:
    """The module with one forward, called main; its own where it has none of that name."""
    chosen = [f for f in module.forwards if f.name == name] or list(module.forwards[:1])
    return replace(module, forwards=tuple(replace(f, name="", intrinsic=None) for f in chosen))


def imported(program: Program, path: Path) -> ModuleType:
    files = emit(program)
    path.write_bytes(files["model.py"])
    path.with_name("checkpoint.py").write_bytes(files["checkpoint.py"])
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def differences(model: Any, reference: Reference) -> Iterator[torch.Tensor]:
    """|Δlogit| of the full pass, of the pass with a cache, and of the further head."""
    tokens, mask = reference.tokens, reference.mask
    full = model(tokens, mask=mask)
    yield (full - reference.logits)[mask].abs()
    cache = model.new_cache(len(tokens), LENGTH)
    steps = [model(tokens[:, :PROMPT], mask=mask[:, :PROMPT], cache=cache)]
    steps += (
        model(tokens[:, end - 1 : end], mask=mask[:, :end], cache=cache)
        for end in range(PROMPT + 1, LENGTH + 1)
    )
    yield (torch.cat(steps, 1) - reference.logits)[mask].abs()
    if reference.following is not None:
        positions = torch.arange(LENGTH).expand_as(tokens)
        hidden = model.trunk(tokens, positions, mask)
        said = model.predict_next(hidden, reference.following, positions, mask)
        yield (said - reference.next_logits).abs()
