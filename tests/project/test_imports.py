"""What a command pays for: none that only counts imports a framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import ROOT, TINY

#: Packages that take longer to import than specgen to answer.
HEAVY = {"torch", "onnx", "onnxruntime", "transformers", "onnx_ir", "matplotlib", "pyarrow"}

CONFIG = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
          "num_attention_heads": 32, "intermediate_size": 11008,
          "max_position_embeddings": 4096}  # fmt: skip


def imported(arguments: list[str], folder: Path) -> set[str]:
    """The packages that a command line has imported when it ends."""
    script = (
        "import sys, json\nfrom specgen.cli.main import main\n"
        f"status = main({arguments!r})\n"
        "names = sorted({name.partition('.')[0] for name in sys.modules})\n"
        "print(json.dumps(names), file=sys.stderr)\nsys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SPECGEN_CACHE": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        (["params", "tiny.dsv3"], {"sympy", "numpy"}),
        (["params", "tiny.dsv3", "--format", "json"], {"sympy", "numpy", "rich"}),
        (["formula", "tiny.dsv3", "flops_decode"], {"sympy", "numpy"}),
        (["formula", "tiny.dsv3", "flops_decode", "--format", "js"], {"sympy", "numpy"}),
        (["formula", "tiny.dsv3", "flops_decode", "--format", "latex"], {"numpy"}),
        (["formula", "tiny.dsv3", "flops_decode", "--by-op"], {"sympy", "numpy"}),
        (["diff", "tiny.dsv3", "tiny.dsv3@wide", "-D", "B=2"], {"sympy", "numpy"}),
        (["whatif", "tiny.dsv3", "-D", "dim=16"], {"sympy"}),
        (["whatif", "tiny.dsv3", "--sweep", "dim=8:64:8"], {"sympy"}),
        (["solve", "tiny.dsv3", "parameters == 3072", "--for", "n_layers"], set()),
        (["sensitivity", "tiny.dsv3", "parameters"], set()),
        (["import", "config.json"], {"sympy", "numpy", "rich"}),
    ],
)
def test_what_only_counts_imports_no_framework(
    arguments: list[str], more: set[str], tmp_path: Path
) -> None:
    (tmp_path / "tiny.dsv3").write_text(TINY, encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    assert not imported(arguments, tmp_path) & (HEAVY | more)
