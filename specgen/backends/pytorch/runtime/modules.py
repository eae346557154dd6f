"""What is said of modules, and done to them, whatever they are."""

from __future__ import annotations

import torch
from torch import nn


def shapes(module: nn.Module) -> str:
    """What the repr of a module shows: the shapes of the parameters that are its own."""
    own = module.named_parameters(recurse=False)
    return ", ".join(f"{name}: {list(row.shape)}" for name, row in own)


def lay_out(model: nn.Module) -> None:
    """Stores float32 matrices along their longer side, as a CPU decodes single tokens fastest.

    For that alone: parameters are no longer contiguous, and safetensors does not save them so.
    """
    for module in model.modules():
        rank = 2 if isinstance(module, nn.Linear) else 3
        for row in module.parameters(recurse=False):
            is_tall = row.dim() == rank and row.size(-2) > row.size(-1)
            if is_tall and row.dtype == torch.float32:
                row.data = row.data.mT.contiguous().mT
