"""Every command answers only for tables that `check` finds no fault in."""

from __future__ import annotations

import shlex
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.analysis.quantities.ledger import ledger
from specgen.backends.base import chosen_targets
from specgen.backends.onnx.options import DEFAULT
from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import check_file
from specgen.frontend.opened import Opened
from specgen.frontend.selection import Selection
from specgen.resources import folder
from tests.cli.running import specgen_here
from tests.fuzz.generate import exchanged

CASES = sorted((Path(__file__).parents[1] / "errors" / "cases").glob("*.dsv3"))
FAULTY = [path for path in CASES if check_file(path).errors]

SHIPPED = sorted(folder("specs").glob("*.dsv3"))

#: Each command as it is given a table; `{}` stands for the table.
COMMANDS = (
    "params {}",
    "params {} --expand",
    "params {} --all-variants",
    "formula {} parameters",
    "ir {}",
    "whatif {}",
    "whatif {} --sweep dim=1,2",
    "solve {} 'parameters == 8' --for dim",
    "sensitivity {} parameters",
    "diff {} llama",
    "diff llama {}",
    "build {} --check",
)


def unanswered(path: Path) -> list[str | None]:
    """The variants of a table that nothing is answered for; None stands for its defaults."""
    try:
        table = Selection(path).opened()
    except SpecError:
        return [None]
    found: list[str | None] = []
    for variant in (*(row.name for row in table.model.tree.variants), None):
        try:
            ledger(Opened(table.loaded, table.model, variant, {}).program())
        except SpecError:
            found.append(variant)
    return found


@pytest.mark.parametrize("path", FAULTY, ids=lambda path: path.stem)
def test_what_check_refuses_is_not_counted(path: Path) -> None:
    assert unanswered(path)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_what_check_refuses(name: str, tmp_path: Path) -> None:
    # A head that is there twice: each row is right, and both exist at the same time.
    table = tmp_path / "double.dsv3"
    table.write_text(
        """language 1
model double {
  params { dim : size = 4   tie : flag = false }
  tensors {
    embed : [dim, dim]                       "embedding"
    head  : dim -> dim when not tie          "head"
    head  : dim -> dim when dim > 2          "head, once more"
  }
}
""",
        encoding="utf-8",
    )
    words = [str(table) if word == "{}" else word for word in shlex.split(name)]
    done = specgen_here(*words, cwd=tmp_path)
    assert done.status == 1
    assert "error[E0511]" in done.err


@pytest.mark.parametrize(
    ("row", "use", "code"),
    [
        ("w : [dim] when shared", "w", "E0501"),  # no row of the name for some value of the flag
        ("w : [dim]  w : [dim]", "w", "E0511"),
        ("w : [dim]  unused : [dim]", "w", "E0512"),
    ],
)
def test_a_fault_that_values_hide_is_still_one(
    row: str, use: str, code: str, tmp_path: Path
) -> None:
    """The asked values have the row; the table as a whole does not say what it means."""
    table = tmp_path / "hidden.dsv3"
    table.write_text(
        f"""language 1
model hidden {{
  params {{ dim : size = 4   vocab : size = 8   shared : flag = true }}
  tensors {{ embed : [vocab, dim]  {row} }}
  forward(tokens: i64 [B, S]) -> [B, S, dim] {{ return take(embed, tokens) * {use} }}
}}
""",
        encoding="utf-8",
    )
    assert code in {fault.code for fault in check_file(table).errors}
    assert unanswered(table) == [None]


@pytest.mark.slow
@settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=150,
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(SHIPPED), st.randoms(use_true_random=False))
def test_check_and_the_commands_agree_on_slips(
    tmp_path_factory: pytest.TempPathFactory, path: Path, random: Random
) -> None:
    """What `check` passes is answered for every variant by every target, and the other way."""
    table = tmp_path_factory.getbasetemp() / path.name
    table.write_text(exchanged(path.read_text(encoding="utf-8"), random), encoding="utf-8")
    if check_file(table).errors:
        assert unanswered(table)
        return
    opened = Selection(table).opened()
    variants = [row.name for row in opened.model.tree.variants]
    assert set(unanswered(table)) <= {None}, "a param may have no default"
    variant = random.choice(variants) if variants else None
    opened = Opened(opened.loaded, opened.model, variant, {})
    program = opened.program()
    for target in chosen_targets(program, None):
        assert target.emit(program, DEFAULT, opened, ledger(program))
