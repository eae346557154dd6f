"""The examples of docs/pytorch.md run, one after the other, as a reader would run them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from tests.numeric.generated import imported, program, randomised  # noqa: E402

PAGE = Path(__file__).parents[2] / "docs" / "pytorch.md"


def test_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    sizes = {name: int(value) for name, value in re.findall(r"-D\s+(\w+)=(\d+)", text)}
    assert len(sizes) > 4
    module = imported(program("llama", **sizes), tmp_path)
    names = {"torch": torch, "Config": module.Config}
    names["Model"] = lambda config: randomised(module.Model(config))
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    with torch.no_grad():
        for block in blocks:
            exec(compile(block, PAGE.name, "exec"), names)
    assert names["logits"].shape == (1, 6, sizes["vocab_size"])
    assert names["cache"].length == 7
