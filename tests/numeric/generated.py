"""Generated files as modules, imported from disk as a user imports them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from specgen.backends.pytorch import emit
from specgen.frontend.load import load_program
from specgen.ir.model import Function, Program

torch.set_num_threads(1)

REPOSITORY = Path(__file__).parents[2]
SPECS = REPOSITORY / "specs"

NUMBERS = count()


def program(spec: str, variant: str | None = None, **overrides: Any) -> Program:
    return load_program(SPECS / f"{spec}.dsv3", variant, overrides)


def imported(table: Program, folder: Path) -> ModuleType:
    """model.py of a program, written to the folder with checkpoint.py and imported."""
    for name, text in emit(table).items():
        (folder / name).write_bytes(text)
    path = folder / "model.py"
    spec = spec_from_file_location(f"generated_{next(NUMBERS)}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def expanded(table: Program) -> Program:
    """The program without intrinsics, so that every body is written out."""

    def plain(function: Function) -> Function:
        return replace(function, intrinsic=None)

    return replace(
        table,
        functions={name: plain(f) for name, f in table.functions.items()},
        modules={
            id_: replace(module, forwards=tuple(map(plain, module.forwards)))
            for id_, module in table.modules.items()
        },
    )


def randomised(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The model with weights that hide nothing behind a one or a zero."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(1.0 if parameter.dim() == 1 else 0.0, 0.1)
    return model.eval()


def forms(module: ModuleType) -> tuple[str | None, ...]:
    """The ways to evaluate the model: the file's own choice, and each that it may choose."""
    alternatives = any(isinstance(c, type) and hasattr(c, "form") for c in vars(module).values())
    return (None, "main", "absorbed") if alternatives else (None,)


@contextmanager
def form(module: ModuleType, name: str | None) -> Iterator[None]:
    """Every module with alternative forwards evaluates the one of that name."""
    chosen = [c for c in vars(module).values() if isinstance(c, type) and hasattr(c, "form")]
    for found in chosen:
        found.form = name
    try:
        yield
    finally:
        for found in chosen:
            found.form = None


def stored(module: ModuleType, model: torch.nn.Module) -> Mapping[str, torch.Tensor]:
    """The model's tensors under their released names."""
    return {
        name: tensor.detach().clone().contiguous()
        for stored in module.checkpoints().stored_tensors(model)
        for name, tensor in zip(stored.kinds, stored.pack(*stored.rows), strict=True)
    }


def kinds(module: ModuleType, model: torch.nn.Module) -> Mapping[str, tuple[str | None, Any]]:
    """Dtype and shape of each tensor that a checkpoint needs."""
    plan = module.checkpoints().stored_tensors(model)
    return {name: kind for stored in plan for name, kind in stored.kinds.items()}


def config_of(module: ModuleType, values: Mapping[str, Any]) -> Any:
    """The Config with those values that the file leaves open; it is made for the others."""
    known = {field.name for field in fields(module.Config)}
    return module.Config(**{name: value for name, value in values.items() if name in known})


def caches(cache: Any) -> dict[str, Any]:
    """What a cache consists of: itself, or one for each group of parts that read the same tokens."""
    return dict(getattr(cache, "parts", {"layers": cache}))
