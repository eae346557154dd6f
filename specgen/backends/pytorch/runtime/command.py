"""What model.py does as a script: it continues a prompt."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from specgen.backends.pytorch.runtime.tables import CACHED


def main(make: Callable[[], Any], lay_out: Callable[[Any], None], dtype: str) -> None:
    """Loads a checkpoint into the model that `make` makes, and prints what follows a prompt."""
    parser = argparse.ArgumentParser(description="Continues a prompt greedily.")
    parser.add_argument("--checkpoint", required=True, metavar="PATH", help="released safetensors")
    parser.add_argument("--prompt-ids", required=True, metavar="1,2,3", help="tokens of the prompt")
    parser.add_argument("--max-new-tokens", type=int, default=32, metavar="N")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default=dtype)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    try:
        tokens = torch.tensor([[int(token) for token in args.prompt_ids.split(",")]])
        with torch.device("meta"):
            model = make().to(getattr(torch, args.dtype))
        model.to_empty(device=args.device).load_checkpoint(args.checkpoint, progress=counted)
        lay_out(model)
        following = greedy(model, tokens.to(args.device), args.max_new_tokens)
        for step, token in enumerate(following):
            print("," * (step > 0) + str(token), end="", flush=True)
        print()
    except (AssertionError, ImportError, IndexError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")


@torch.inference_mode()
def greedy(model: Any, tokens: Tensor, count: int) -> Iterator[int]:
    """The most likely tokens behind a prompt, one after the other."""
    if CACHED:
        cache = model.new_cache(1, tokens.size(1) + count)
        for _ in range(count):
            tokens = model(tokens, cache=cache, last=True).argmax(-1)
            yield int(tokens)
    else:
        for _ in range(count):
            tokens = torch.cat([tokens, model(tokens, last=True).argmax(-1)], dim=-1)
            yield int(tokens[0, -1])


def counted(work: Sequence[Any]) -> Iterator[Any]:
    """The work piece by piece; a terminal is told how much of it is done."""
    for done, piece in enumerate(work, 1):
        yield piece
        if sys.stderr.isatty():
            end = "\n" if done == len(work) else "\r"
            print(f"loaded {done:,} of {len(work):,}", end=end, file=sys.stderr, flush=True)
