"""A generated model's weights in the IR's interpreter, which shares no meaning with back ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from specgen.backends.pytorch.quoting import attribute
from specgen.expr.evaluate import evaluate, evaluate_int
from specgen.ir import interpret
from specgen.ir.model import Program


def interpreter(table: Program, model: torch.nn.Module) -> interpret.EvaluatedInstance:
    """The root instance, every weight of the model in its place."""
    root = interpret.EvaluatedInstance(table, table.model, table.values, np.random.default_rng(0))
    fill(root, model, model)
    return root


def fill(
    instance: interpret.EvaluatedInstance,
    module: Any,
    model: torch.nn.Module,
    picked: int | None = None,
) -> None:
    """Weights of one instance; `picked` is its place in a stack.

    A row that shares another's tensor has the values of that one, in the module or the model.
    """
    env = instance.environment({})
    for row in instance.module.tensors:
        if evaluate(row.condition, env) is not True:
            continue
        if row.target is None:
            instance.weights[row.name] = array(module, row.name, picked)
        else:
            first = attribute(row.target.partition(".")[0])
            instance.weights[row.name] = array(
                module if hasattr(module, first) else model, row.target, None
            )
    for part in instance.module.parts:
        if evaluate(part.condition, env) is not True:
            continue
        held = getattr(module, attribute(part.name))
        if part.count is None:
            fill(instance.child(part.name, 0), held, model)
            continue
        for number in range(evaluate_int(part.count, env)):
            child = instance.child(part.name, number)
            if isinstance(held, torch.nn.ModuleList):
                fill(child, held[number], model)
            else:
                fill(child, held, model, number)


def array(module: Any, row: str, picked: int | None) -> np.ndarray:
    if picked is not None:
        return np.asarray(getattr(module, attribute(row.replace(".", "_")))[picked].detach())
    for name in row.split("."):
        module = getattr(module, attribute(name))
    return np.asarray(getattr(module, "weight", module).detach())


def logits(table: Program, model: torch.nn.Module, tokens: torch.Tensor) -> np.ndarray:
    """What the table's forward says of the tokens, without padding and without a cache."""
    forward = table.model.forward
    assert forward is not None
    batch, length = tokens.shape
    given = {
        "positions": np.broadcast_to(np.arange(length), (batch, length)),
        "mask": np.ones((batch, length), dtype=bool),
    }
    args = [tokens.numpy(), *(given[arg.name] for arg in forward.args[1:])]
    axes = {"B": batch, "S": length, "T": length}
    (found,) = interpreter(table, model).call(forward, args, axes)
    return found
