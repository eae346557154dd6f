"""A name means one thing in a table: a length called W, G or O is as any other, and no bytes.

Each table is compared with its twin, in which the length has a name that nothing else has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import specgen
from specgen.analysis.quantities.memory import TRAINING_BYTES, WEIGHTS_BYTES
from specgen.analysis.quantities.ranks import rank_quantities
from specgen.analysis.quantities.registry import QUANTITIES
from specgen.analysis.quantities.variables import BYTES, IS_LENGTH, LENGTH
from specgen.backends.report.page.document import page_document
from tests.cli.running import specgen_here as run
from tests.page.test_page import opened

#: A name that no variable has.
TWIN = "V"

OF_BYTES = {record.name: record.variables for record in (WEIGHTS_BYTES, TRAINING_BYTES)}


def grid(length: str) -> str:
    return f"""language 1
model grid "Points, mixed one by one, and shared" {{
  params {{ dim : size = 6   ch : size = 3 }}
  tensors {{ proj : ch -> dim   more : dim -> dim }}
  sharding {{ tensor over dim }}
  forward(points: [B, H, {length}, ch], shared: [{length}, dim]) -> [B, H, {length}, dim] {{
    return more(proj(points) + rearrange(shared, "w d -> 1 1 w d"))
  }}
}}
"""


def written(folder: Path, length: str) -> Path:
    path = folder / f"grid_{length}.dsv3"
    path.write_text(grid(length), encoding="utf-8")
    return path


def asked(path: Path, length: str, command: str, *arguments: str) -> Any:
    """What a command says in JSON, the length called as in the twin."""
    words = [argument.replace(TWIN, length) for argument in arguments]
    done = run(command, str(path), *words, "--format", "json", cwd=path.parent)
    assert done.status == 0, done.err
    return renamed(json.loads(done.out), length)


def renamed(found: Any, length: str) -> Any:
    if isinstance(found, Mapping):
        return {(TWIN if k == length else k): renamed(v, length) for k, v in found.items()}
    if isinstance(found, list):
        # What moves a quantity as strongly comes in the order of the names.
        return sorted((renamed(each, length) for each in found), key=json.dumps)
    return re.sub(rf"\b{length}\b", TWIN, found) if isinstance(found, str) else found


def is_about(name: str, length: str) -> bool:
    return length in OF_BYTES.get(name, ())


@settings(max_examples=3, deadline=None)
@given(length=st.sampled_from(BYTES), h=st.integers(1, 40), w=st.integers(1, 300))
def test_figures_are_those_of_any_other_name(length: str, h: int, w: int) -> None:
    with TemporaryDirectory() as folder:
        mine, twin = (written(Path(folder), name) for name in (length, TWIN))
        at = ["-D", f"H={h}", "-D", f"{TWIN}={w}"]
        found, wanted = (
            asked(path, name, "whatif", *at)["quantities"]
            for path, name in ((mine, length), (twin, TWIN))
        )
        flops = 2 * h * w * (3 * 6 + 6 * 6)
        assert found["flops_prefill"]["value"] == flops
        for name in QUANTITIES:
            if is_about(name, length):
                assert found[name]["value_absent"] == IS_LENGTH.format(name=TWIN)
            else:
                assert found[name] == wanted[name], name
        for path, name in ((mine, length), (twin, TWIN)):
            question = ["-D", f"H={h}", "--for", name]
            done = run("solve", str(path), f"flops_prefill == {flops}", *question, cwd=path.parent)
            assert f"\n{name} = {w}\n" in done.out, done.err


@pytest.mark.parametrize("length", BYTES)
@pytest.mark.parametrize(
    "question",
    [
        ["whatif", "-D", "H=3"],  # without a value there is no figure, as of any other
        ["whatif", "-D", "H=3", "--sweep", f"{TWIN}=1:5", "--quantity", "flops_prefill"],
        ["whatif", "-D", "H=3", "--sweep", "dim=1:5", "--quantity", "flops_prefill"],
        ["sensitivity", "flops_prefill", "-D", "H=3", "-D", f"{TWIN}=7"],
        ["formula", "flops_prefill", "--by-op", "-D", "H=3", "-D", f"{TWIN}=7"],
        ["formula", "flops_prefill", "-D", "H=3", "-D", f"{TWIN}=7"],
        ["formula", "activation_peak_bytes", "-D", f"{TWIN}=7"],
    ],
)
def test_every_command_takes_it_for_a_length(
    length: str, question: list[str], tmp_path: Path
) -> None:
    command, *arguments = question
    mine, twin = written(tmp_path, length), written(tmp_path, TWIN)
    found, wanted = asked(mine, length, command, *arguments), asked(twin, TWIN, command, *arguments)
    for one in (found, wanted):
        one.pop("variables", None)
        for name in OF_BYTES:
            one.get("quantities", {}).pop(name, None)
    assert found == wanted


@pytest.mark.parametrize("length", BYTES)
def test_every_command_says_that_it_is_a_length(length: str, tmp_path: Path) -> None:
    path = written(tmp_path, length)
    swept = run(
        "whatif", str(path), "--quantity", "flops_prefill", "-D", f"{length}=7", cwd=tmp_path
    )
    assert f"{length} = 7: {LENGTH}" in swept.out
    for value in ("1.5", "0"):  # as bytes may be, and lengths may not
        refused = run("whatif", str(path), "-D", f"{length}={value}", cwd=tmp_path)
        assert refused.status == 2
        assert LENGTH in refused.err
    table, base = opened(str(path))
    page = page_document(base, table)
    assert page["lengths"][length] == "points, shared"
    assert page["variables"][length] == 1
    assert run("build", str(path), "-o", "out", cwd=tmp_path).status == 0
    built = tmp_path / "out" / "grid" / "default"
    formulas = json.loads((built / "formulas.json").read_text("utf-8"))
    assert formulas["variables"][length] == LENGTH
    report = (built / "report.md").read_text("utf-8")
    assert "depends on " + ", ".join(f"`{name}`" for name in sorted(("H", length))) in report
    reason = IS_LENGTH.format(name=length)
    for name, quantity in base.quantities.items():
        assert (quantity.absent == reason) == is_about(name, length), name
    for name, quantity in rank_quantities(base.program).items():
        assert (quantity.absent == reason) == (name == "rank_weights_bytes" and length == "W")
    ranks = run("whatif", str(path), "--parallel", "tensor=2", "-D", "H=3", cwd=tmp_path)
    assert ("ranks use" in ranks.err) == (length == "W")
    quantities = specgen.load(path).quantities
    assert quantities["parameters"] == 3 * 6 + 6 * 6


@pytest.mark.parametrize("length", BYTES)
def test_two_tables_are_compared_where_one_has_such_a_length(length: str, tmp_path: Path) -> None:
    a, b = written(tmp_path, length), written(tmp_path, TWIN)
    done = run("diff", str(a), str(b), "--format", "json", cwd=tmp_path)
    assert done.status == 0, done.err
    assert length not in json.loads(done.out)["at"]


@pytest.mark.parametrize("length", BYTES)
@pytest.mark.parametrize("kind", ["param", "let"])
def test_a_name_of_the_table_is_no_variable(length: str, kind: str, tmp_path: Path) -> None:
    """A param and a let of that name are themselves, and quantities of bytes are absent."""
    text = grid(TWIN)
    if kind == "param":
        text = text.replace("ch : size = 3", f"ch : size = 3   {length} : size = 5")
    else:
        text = text.replace("  tensors", f"  let {{ {length} = 5 }}\n  tensors")
    path = tmp_path / "grid.dsv3"
    path.write_text(text, encoding="utf-8")
    for name in OF_BYTES:
        found = specgen.load(path).ledger.quantities[name]
        wanted = f"the table has a {kind} `{length}`, which is a variable of this quantity"
        assert found.absent == (wanted if is_about(name, length) else None)
