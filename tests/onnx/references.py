"""The small models of tests/references.py, and the programs that the specs make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from specgen.frontend.load import load_program
from specgen.huggingface.reading import overrides_from_config
from specgen.ir.model import Module, Program
from tests.references import REPOSITORY, SPECS, saved, tolerance

Override = str | int | float | bool


@dataclass(frozen=True)
class Reference:
    """A model in released layout with what transformers computes: logits, full and cached."""

    name: str
    config: Mapping[str, Any]
    meta: Mapping[str, Any]
    weights: Mapping[str, np.ndarray]
    arrays: Mapping[str, np.ndarray]

    @property
    def tolerance(self) -> float:
        """2e-5; where transformers differs from itself by more than 1e-5, the promised 5e-5."""
        return 2e-5 if tolerance(self.meta) == 2e-5 else 5e-5

    def program(self, **overrides: Override) -> Program:
        """The program of the spec with this model's sizes, everything stored in f32."""
        spec = SPECS[self.name]
        given = overrides_from_config(load_spec(spec), self.config)
        return in_f32(load_spec(spec, **{**given, **overrides}))


def load_spec(name: str, variant: str | None = None, **overrides: Override) -> Program:
    return load_program(REPOSITORY / "specs" / f"{name}.dsv3", variant, overrides)


def in_f32(program: Program) -> Program:
    """The program stored and computed in f32 instead of half that, as the references are."""

    def module(module: Module) -> Module:
        halves = ("bf16", "f16")
        rows = (replace(t, dtype="f32") if t.dtype in halves else t for t in module.tensors)
        return replace(module, tensors=tuple(rows))

    modules = {key: module(value) for key, value in program.modules.items()}
    return replace(program, modules=modules, activation_dtype="f32")


@cache
def reference(name: str) -> Reference:
    from safetensors.numpy import load_file

    folder = saved(name)
    return Reference(
        name,
        json.loads((folder / "config.json").read_text()),
        json.loads((folder / "meta.json").read_text()),
        load_file(folder / "model.safetensors"),
        load_file(folder / "reference.safetensors"),
    )
