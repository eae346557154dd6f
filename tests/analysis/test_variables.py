"""Quantities of forwards with shape variables of their own: a formula in them, and no figure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import specgen
from specgen.analysis.quantities.ledger import ledger
from specgen.backends.formulas import document
from specgen.expr.evaluate import evaluate
from specgen.frontend.load import load_program
from tests.cli.running import specgen_here as run

TWO = """language 1
model two "Attention of one sequence to another" {
  params { dim : size = 6   side : size = 4 }
  dtypes { maps = f32 arrays = f32 activations = f32 }
  tensors { w : dim -> dim   patch : side × side -> dim }
  forward(x: [B, S, dim], y: [B, E, dim], z: [N, M, side × side]) -> [B, S, dim] {
    s = einsum("b s d, b e d -> b s e", w(x), y)
    p = einsum("b s e, b e d -> b s d", softmax(s), y)
    return p + sum(sum(patch(z), over = 1), over = 0)
  }
}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "two.dsv3"
    path.write_text(TWO, encoding="utf-8")
    return path


def test_formula_has_the_forwards_own_variables(path: Path) -> None:
    program = load_program(path)
    found = ledger(program)
    for name in ("flops_prefill", "flops_training", "activation_peak_bytes"):
        assert set(found.quantities[name].variables) >= {"B", "S", "E", "M", "N"}, name
    sizes = {"B": 2, "S": 5, "E": 7, "M": 6, "N": 4}
    expr = found.quantities["flops_prefill"].expr
    assert expr is not None
    by_hand = 2 * (2 * 5 * 6 * 6 + 2 * (2 * 5 * 7 * 6) + 4 * 6 * 16 * 6)
    assert evaluate(expr, {**found.values, **sizes}) == by_hand
    assert set(document(found)["variables"]) >= {"E", "M", "N"}
    assert found.quantities["parameters"].value == 36 + 96


@pytest.mark.parametrize(
    "arguments",
    [
        ["params", "TABLE"],
        ["formula", "TABLE", "flops_prefill"],
        ["whatif", "TABLE"],
        ["whatif", "TABLE", "--sweep", "dim=2:4"],
        ["diff", "TABLE", "TABLE"],
        ["build", "TABLE", "-o", "OUT"],
    ],
)
def test_every_command_answers_without_them(
    arguments: list[str], path: Path, tmp_path: Path
) -> None:
    words = {"TABLE": str(path), "OUT": str(tmp_path / "out")}
    done = run(*[words.get(word, word) for word in arguments], cwd=tmp_path)
    assert done.status == 0, done.err


def test_what_needs_a_figure_says_why_there_is_none(path: Path, tmp_path: Path) -> None:
    asked = run("formula", str(path), "flops_prefill", "--by-op", cwd=tmp_path)
    assert asked.status == 2
    assert "depends on E, M, N" in asked.err
    swept = run("whatif", str(path), "--sweep", "dim=2:4", cwd=tmp_path)
    assert "`E` has no value here" in swept.out + swept.err
    assert run("build", str(path), "-o", str(tmp_path), cwd=tmp_path).status == 0
    report = (tmp_path / "two" / "default" / "report.md").read_text(encoding="utf-8")
    assert "depends on `E`, `M`, `N`" in report
    formulas = json.loads((tmp_path / "two" / "default" / "formulas.json").read_text("utf-8"))
    assert formulas["quantities"]["flops_prefill"]["variables"] == ["B", "S", "E", "M", "N"]
    assert specgen.load(path).quantities["parameters"] == 132


SIZES = {"B": 2, "S": 5, "E": 7, "M": 6, "N": 4}


def by_hand(sizes: dict[str, int], dim: int = 6) -> int:
    b, s, e, m, n = (sizes[name] for name in "BSEMN")
    return 2 * (b * s * dim * dim + 2 * (b * s * e * dim) + n * m * 16 * dim)


@settings(max_examples=4, deadline=None)
@example(SIZES)
@given(st.fixed_dictionaries({name: st.integers(1, 40) for name in SIZES}))
def test_values_of_a_forwards_own_variables_are_put_in(sizes: dict[str, int]) -> None:
    """As those of B, S and T: in every command that takes these, and from Python."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "two.dsv3"
        path.write_text(TWO, encoding="utf-8")
        given_all = [word for n, v in sizes.items() for word in ("-D", f"{n}={v}")]
        count = by_hand(sizes)
        for command in (
            "formula two.dsv3 flops_prefill",
            "formula two.dsv3 flops_prefill --format json",
            "formula two.dsv3 flops_prefill --by-op",
            "whatif two.dsv3 --quantity flops_prefill --format json",
            "sensitivity two.dsv3 flops_prefill",
        ):
            done = run(*command.split(), *given_all, cwd=Path(folder))
            assert done.status == 0, done.err
            assert re.search(rf"\b{count}\b", done.out.replace(",", "")), command
        model = specgen.load(path)
        assert model.quantity("flops_prefill", **sizes).value == count
        form = model.formula("flops_prefill", **sizes)
        assert form.subs({name: model.params[str(name)] for name in form.free_symbols}) == count
        sheet = model.whatif(**sizes)
        row = dict(zip(sheet["quantity"], sheet["value"], strict=True))
        assert row["flops_prefill"] == count


def test_a_variable_of_a_forward_is_swept_and_solved_for(path: Path, tmp_path: Path) -> None:
    most = [word for n, v in SIZES.items() if n != "E" for word in ("-D", f"{n}={v}")]
    swept = run(
        "whatif", str(path), "--sweep", "E=1,7", "--quantity", "flops_prefill", "--where", "E >= 1",
        "--format", "csv", *most, cwd=tmp_path,
    )  # fmt: skip
    wanted = [f"{e},{by_hand({**SIZES, 'E': e})}" for e in (1, 7)]
    assert swept.out.splitlines()[1:3] == wanted
    solved = run(
        "solve", str(path), f"flops_prefill == {by_hand(SIZES)}", "--for", "E", *most, cwd=tmp_path
    )
    assert "E = 7" in solved.out


def test_some_values_leave_a_formula_in_the_others(path: Path) -> None:
    given_e = run(
        "formula", str(path), "flops_prefill", "-D", "E=7", "--format", "python", cwd=path.parent
    )
    names = set(re.findall("[A-Za-z]+", given_e.out))
    assert names == {"B", "S", "M", "N", "dim", "side"}


def test_a_param_of_that_name_is_meant(path: Path) -> None:
    """A capital that is a param is no shape variable."""
    path.write_text(TWO.replace("side : size = 4", "side : size = 4   E : size = 3"))
    asked = run("formula", str(path), "flops_prefill", "-D", "E=7", cwd=path.parent)
    assert asked.status == 0, asked.err
    assert load_program(path, None, {"E": 7}).values["E"] == 7
    assert "E" in asked.out


@pytest.mark.parametrize("more", [[], ["-D", "B=2"]])
@pytest.mark.parametrize("form", [[], ["--by-op"]])
def test_what_follows_a_param_follows_it_beside_variables(
    more: list[str], form: list[str], tmp_path: Path
) -> None:
    """A configuration without `num_key_value_heads` has as many as there are heads, and so with -D."""
    config = {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 100,
        "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8,
        "intermediate_size": 96, "max_position_embeddings": 32, "tie_word_embeddings": False,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "four").mkdir()
    (tmp_path / "four" / "config.json").write_text(json.dumps({**config, "num_attention_heads": 4}))
    asked = ["formula", "flops_prefill", "--format", "json", *more, *form]
    given = run(*asked[:1], "config.json", *asked[1:], "-D", "n_heads=4", cwd=tmp_path)
    meant = run(*asked[:1], "four/config.json", *asked[1:], cwd=tmp_path)
    assert given.status == 0, given.err
    assert json.loads(given.out) == json.loads(meant.out)


@pytest.mark.parametrize("text", ["0", "-1", "2.5", "x", "1e-400", "9" * 40])
def test_what_is_no_length_is_refused(text: str, path: Path) -> None:
    for command in ("formula {} flops_prefill", "whatif {}", "sensitivity {} flops_prefill"):
        done = run(*command.format(path).split(), "-D", f"E={text}", cwd=path.parent)
        assert done.status in (1, 2), command
        assert done.err, command


@pytest.mark.parametrize("text", ["dim", "1 +", "?", "dim +"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("whatif {}", "-D E={}"),
        ("diff {} {}", "-D E={}"),
        ("sensitivity {} flops_prefill", "-D E={}"),
        ("formula {} flops_prefill", "-D E={}"),
        ("params {}", "-D dim={}"),
        ("whatif {}", "--sweep E={}"),
        ("whatif {}", "--sweep dim=1,{}"),
        ("solve {} flops_prefill==9e6 --for E", "--within E=1:{}"),
        ("solve {} flops_prefill==9e6 --for E,dim", "--within E=1,{}"),
        ("solve {} flops_prefill==9e6 --for E,dim", "--within E=1:{}"),
    ],
)
def test_a_bad_value_is_reported_at_its_own_option(
    text: str, command: str, option: str, path: Path
) -> None:
    done = run(
        *command.format(path, path).split(), *option.format(text).split(" ", 1), cwd=path.parent
    )
    assert done.status in (1, 2)
    named = option.partition("=")[0]
    places = re.findall(r"--> (-\S+ \w+):", done.err)
    assert places == [named], done.err
