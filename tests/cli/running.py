"""Runs command lines: in a process of their own, as users do, or in this one, which is quick."""

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from specgen.cli.main import main

ROOT = Path(__file__).parents[2]

#: A model with a forward and a variant, and no imports.
TINY = """\
language 1
model tiny "Tiny" {
  params {
    vocab_size : size = 32    "vocabulary entries"
    dim        : size = 8     "width"
    n_layers   : size = 2     "layers"
    kind       : "a" | "b" = "a"
  }
  dtypes { maps = bf16  arrays = f32  activations = f32  caches = f32 }
  parts { layers[layer] : block × n_layers }
  tensors {
    embed : [vocab_size, dim]
    head  : dim -> vocab_size
  }
  forward(tokens: i64 [B, S]) -> [B, S, vocab_size] {
    return head(layers(take(embed, tokens)))
  }
  module block "Layer" {
    params { layer : count }
    tensors {
      up   : dim -> 4 × dim
      down : 4 × dim -> dim
    }
    forward(x: [B, S, dim]) -> [B, S, dim] {
      return x + down(silu(up(x)))
    }
  }
  names hf { layers -> "model.layers.{layer}" }
  variant wide "Wide" { dim = 16 }
  variant deep of wide { n_layers = 9 }
}
"""

#: A table without a forward.
PURE = """\
language 1
model pure "Pure" {
  params { dim : size = 8 }
  dtypes { arrays = bf16 }
  tensors { weight : [dim, 2 × dim] }
}
"""


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str


def specgen_here(*arguments: str, cwd: Path) -> Done:
    """A command line, run in this process: the same, but for what only a process of its own has."""
    before = Path.cwd()
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    os.chdir(cwd)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = main(arguments)
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    finally:
        os.chdir(before)
    out.flush()
    printed = out.buffer
    assert isinstance(printed, io.BytesIO)
    return Done(status, printed.getvalue().decode(), err.getvalue())


def specgen(*arguments: str, cwd: Path | None = None, **environment: str) -> Done:
    """A command line, run to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "specgen", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        check=False,
        timeout=120,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())
