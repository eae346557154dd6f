"""How model.py finds checkpoint.py, which it needs for checkpoints and for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn


class Checkpointed(nn.Module):
    """The methods of a model that are about checkpoints."""

    def load_checkpoint(
        self, path: str | Path, ignore: Sequence[str] = (), progress: Callable[..., Any] = iter
    ) -> None:
        """Loads safetensors in the released naming: a file, or a folder of them.

        ignore: patterns (`lm_head.*`) of names that the checkpoint may have in excess.
        progress: wraps the list of what is to be loaded, as tqdm does.
        A ValueError lists what is missing, in excess or not as needed, before the first is loaded.
        """
        checkpoints().load(self, path, ignore, progress)

    def save_checkpoint(self, folder: str | Path, shard: int = 5 * 10**9) -> None:
        """Saves safetensors in the released naming and packing, in files of at most `shard` bytes.

        They are moved into the folder when all are written.  A ValueError lists rows of which it
        is not known how to store them as the release does.
        """
        checkpoints().save(self, folder, shard)


@cache
def checkpoints() -> Any:
    """checkpoint.py, which stands beside this file: in a folder, in a package, or with a script."""
    path = Path(__file__).with_name("checkpoint.py")
    if not path.is_file():
        raise FileNotFoundError(f"to load and save, checkpoint.py has to be beside {__file__}")
    loader = SourceFileLoader(f"{__name__}_checkpoint", str(path))
    module = ModuleType(loader.name)
    module.__file__ = loader.path
    try:
        loader.exec_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(f"to load and save checkpoints: pip install {error.name}") from None
    return module
