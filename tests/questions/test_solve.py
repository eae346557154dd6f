"""Asking the other way round: each dimension from the totals, neighbours, requirements, structures."""

from __future__ import annotations

import json
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specgen.frontend.selection import Selection
from specgen.huggingface.select import select
from specgen.questions.compare import complete_variables
from specgen.questions.lattice import choose_axis, search_lattice
from specgen.questions.points import make_axis
from specgen.questions.question import QuestionError, read_question
from specgen.questions.session import Session
from specgen.questions.solve import Solution, solve_for
from tests.cli.running import TINY, specgen_here

V3 = "deepseek_v3@v3_671b"
LLAMA = "llama@llama3_70b"

#: Counted from the released checkpoints.
TOTALS = {
    V3: {"parameters": 671_026_419_200, "parameters_active": 37_552_297_472},
    LLAMA: {"parameters": 70_553_706_496, "cache_bytes_per_token": 327_680},
}

#: A param, its released value, another value to start from, and the total that gives it back.
DIMENSIONS = [
    (V3, "vocab_size", 129_280, 32_000, "parameters"),
    (V3, "dim", 7168, 4096, "parameters"),
    (V3, "inter_dim", 18_432, 12_288, "parameters"),
    (V3, "moe_inter_dim", 2048, 1536, "parameters"),
    (V3, "n_layers", 61, 27, "parameters"),
    (V3, "n_dense_layers", 3, 1, "parameters"),
    (V3, "n_mtp_layers", 0, 1, "parameters"),
    (V3, "n_heads", 128, 64, "parameters"),
    (V3, "q_lora_rank", 1536, 0, "parameters"),
    (V3, "kv_lora_rank", 512, 256, "parameters"),
    (V3, "qk_nope_head_dim", 128, 64, "parameters"),
    (V3, "qk_rope_head_dim", 64, 128, "parameters"),
    (V3, "v_head_dim", 128, 64, "parameters"),
    (V3, "n_routed_experts", 256, 160, "parameters"),
    (V3, "n_shared_experts", 1, 0, "parameters"),
    (V3, "n_activated_experts", 8, 6, "parameters_active"),
    (LLAMA, "vocab_size", 128_256, 32_000, "parameters"),
    (LLAMA, "dim", 8192, 4096, "parameters"),
    (LLAMA, "inter_dim", 28_672, 11_008, "parameters"),
    (LLAMA, "n_layers", 80, 32, "parameters"),
    (LLAMA, "n_heads", 64, 32, "parameters"),
    (LLAMA, "n_kv_heads", 8, 64, "parameters"),
    (LLAMA, "head_dim", 128, 64, "parameters"),
    (LLAMA, "n_kv_heads", 8, 64, "cache_bytes_per_token"),
]

#: Whole numbers of these tables that no quantity depends on (the groups of experts are in the
#: activations of the router, which are never the peak).
SILENT = {
    V3: {"n_expert_groups", "n_limited_groups", "original_seq_len", "max_seq_len"},
    LLAMA: {"original_seq_len", "max_seq_len"},
}


@cache
def table(spec: str, **overrides: int) -> Session:
    return Session(select(spec, overrides))


def solved(spec: str, text: str, unknown: str, **overrides: int) -> Solution:
    session = table(spec, **overrides)
    return solve_for(session, read_question(text, session), unknown, complete_variables({}))


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "name", "released", "other", "total"), DIMENSIONS)
def test_each_dimension_comes_back_from_the_totals(
    spec: str, name: str, released: int, other: int, total: str
) -> None:
    """Also where the search starts from a table with another value, of another structure."""
    text = f"{total} == {TOTALS[spec][total]}"
    for overrides in ({}, {name: other}):
        found = solved(spec, text, name, **overrides)
        assert [answer.value for answer in found.exact] == [released]
        assert found.exact[0].left == found.exact[0].right == TOTALS[spec][total]
        assert found.answers == found.exact


@pytest.mark.slow
def test_every_dimension_is_named_or_silent() -> None:
    for spec in (V3, LLAMA):
        whole = {n for n, kind in table(spec).kinds.items() if kind in ("size", "count")}
        assert {name for s, name, *_ in DIMENSIONS if s == spec} == whole - SILENT[spec]


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "name"), [(s, n) for s in SILENT for n in sorted(SILENT[s])])
def test_a_dimension_without_influence_is_an_error(spec: str, name: str) -> None:
    found = table(spec).base.quantities.values()
    for quantity in (q.name for q in found if q.expr is not None):
        if quantity == "activation_peak_bytes":
            continue
        with pytest.raises(QuestionError, match=f"nothing in the question depends on `{name}`"):
            solved(spec, f"{quantity} == 1", name)


def test_a_dimension_that_cancels_has_no_influence() -> None:
    """head_dim = dim / n_heads: without grouped heads only their product counts."""
    with pytest.raises(QuestionError, match="nothing in the question depends on `n_heads`"):
        solved("gpt2@gpt2_124m", "parameters == 124_439_808", "n_heads")


def test_no_integer_solution_gives_both_neighbours() -> None:
    found = solved(V3, "parameters == 671_026_419_201", "n_layers")
    assert (found.exact, found.answers) == ((), ())
    assert found.below is not None
    assert found.above is not None
    assert (found.below.value, found.below.left_over) == (61, 1)
    layer = 11_507_286_272
    assert (found.above.value, found.above.left_over) == (62, 1 - layer)


@pytest.mark.slow
def test_the_largest_that_fits() -> None:
    found = solved(LLAMA, "parameters <= 72e9", "n_layers")
    assert [(a.value, a.left) for a in found.answers] == [(81, 70_553_706_496 + 855_654_400)]
    assert [a.value for a in solved(LLAMA, "parameters > 72e9", "n_layers").answers] == [82]
    assert [a.value for a in solved(LLAMA, "parameters <= 70553706496", "n_layers").answers] == [80]
    assert [a.value for a in solved(LLAMA, "parameters < 70553706496", "n_layers").answers] == [79]


def test_params_that_follow_must_be_allowed() -> None:
    """head_dim = dim / n_heads: whole and even, so dim moves by 128."""
    found = solved(LLAMA, "parameters <= 72e9", "dim")
    assert [a.value for a in found.answers] == [8320]
    assert found.above is not None
    assert found.above.value == 8448


@pytest.mark.slow
def test_a_forbidden_root_says_why() -> None:
    """23 features of position would give this figure; they come in pairs."""
    at_23 = "parameters == 671_026_419_200 - 41 × 61 × (7168 + 1536 × 128)".replace("×", "*")
    found = solved(V3, at_23, "qk_rope_head_dim")
    assert found.exact == ()
    (forbidden,) = found.forbidden
    assert forbidden.value == 23
    assert "rotary features come in pairs" in forbidden.reason
    assert found.below is not None
    assert found.above is not None
    assert (found.below.value, found.above.value) == (22, 24)


def test_several_roots() -> None:
    """q (a - q) has two: all of them count, the nearest to the table first."""
    found = solved(LLAMA, "n_layers * (200 - n_layers) == 80 * 120", "n_layers")
    assert [answer.value for answer in found.exact] == [80, 120]


@pytest.mark.slow
def test_roots_in_two_structures() -> None:
    """Without compression of the query there is one wide matrix instead of two and a norm."""
    plain = Session(select(V3, {"q_lora_rank": 0}))
    total = plain.base.value("parameters")
    found = solved(V3, f"parameters == {total}", "q_lora_rank")
    assert [answer.value for answer in found.exact] == [0]
    assert found.structures == 2


def test_a_flag() -> None:
    total = TOTALS[LLAMA]["parameters"] - 128_256 * 8192
    found = solved(LLAMA, f"parameters == {total}", "tie_embeddings")
    assert [answer.value for answer in found.exact] == [True]


def test_variables() -> None:
    """80 GB hold this many tokens of one sequence."""
    found = solved(LLAMA, "cache_bytes <= 80e9", "T")
    assert [answer.value for answer in found.answers] == [80_000_000_000 // 327_680]


@pytest.mark.slow
def test_rounding_is_exact() -> None:
    """The scales of blocks of 128 × 128 make the stored bytes no polynomial of the width."""
    session = Session(select(V3, {"inter_dim": 13_000}))
    stored_bytes = session.base.value("stored_bytes")
    found = solved(V3, f"stored_bytes == {stored_bytes}", "inter_dim")
    assert [answer.value for answer in found.exact] == [13_000]


def test_numbers_are_taken_as_written() -> None:
    session = table(LLAMA)
    for text, value in (
        ("671e9", 671 * 10**9),
        ("671_026_419_200", 671_026_419_200),
        ("481.482208444416e12", 481_482_208_444_416),
        ("0.1", Fraction(1, 10)),
        ("1e40", 10**40),
    ):
        question = read_question(f"parameters == {text}", session)
        found = solve_for(session, question, "n_layers")
        assert found.base.right == value


def test_a_custom_table_agrees_with_trying_every_value(tmp_path: Path) -> None:
    """All answers from 1 to 40, of a table with blocks, alternatives and a requirement."""
    spec = tmp_path / "custom.dsv3"
    spec.write_text("""\
language 1
model custom {
  params {
    n : size  = 6
    w : size  = 2 * n
    k : count = 1
  }
  require { w % 3 != 1 "not so" }
  dtypes { arrays = bf16 }
  tensors {
    a : [ceil(n / 4), w]     when n > 9
    b : [n, n, 3]            when n <= 9
    c : [50 - n, 2]
    d : [k, 7]
  }
}
""")
    session = Session(Selection(spec))
    totals = {}
    for n in range(1, 50):
        built = session.build({"n": n}) if n != 6 else session.base
        if not isinstance(built, str):
            totals[n] = built.value("parameters")
    assert 6 in totals
    assert 5 not in totals
    for wanted in sorted({*totals.values(), 100, 101, 150, 5000}):
        question = read_question(f"parameters == {wanted}", session)
        found = solve_for(session, question, "n", within=(1, 49))
        assert {a.value for a in found.exact} == {n for n, v in totals.items() if v == wanted}
        if not found.exact:
            below = max((v for v in totals.values() if v < wanted), default=None)
            above = min((v for v in totals.values() if v > wanted), default=None)
            assert (found.below and found.below.left) == below
            assert (found.above and found.above.left) == above


def test_parts_of_which_the_table_has_none(tmp_path: Path) -> None:
    """No row of the table speaks of `more`, and still its number can be found."""
    spec = tmp_path / "some.dsv3"
    spec.write_text("""\
language 1
model some {
  params {
    more : count = 0
    d    : size  = 8
  }
  dtypes { arrays = bf16 }
  tensors { a : [d] }
  parts { b[i] : inner × more }
  module inner {
    tensors { c : [d, 3] }
  }
}
""")
    session = Session(Selection(spec))
    assert session.base.value("parameters") == 8
    found = solve_for(session, read_question("parameters == 80", session), "more")
    assert [answer.value for answer in found.exact] == [3]
    found = solve_for(session, read_question("parameters == 81", session), "more")
    assert found.below is not None
    assert found.above is not None
    assert (found.below.value, found.above.value) == (3, 4)


# ---- several unknowns ------------------------------------------------------------------


@pytest.mark.slow
def test_a_lattice_agrees_with_every_table() -> None:
    session = table(LLAMA)
    dims, heads, layers = range(1024, 1409, 128), (8, 10, 16), (2, 3)
    axes = [make_axis("dim", dims), make_axis("n_heads", heads), make_axis("n_layers", layers)]
    question = read_question("parameters <= 500_000_000", session)
    found = search_lattice(session, question, axes, {}, 200)
    expected = {}
    for dim, n_heads, n_layers in product(dims, heads, layers):
        built = session.build({"dim": dim, "n_heads": n_heads, "n_layers": n_layers})
        if not isinstance(built, str):
            expected[dim, n_heads, n_layers] = built.value("parameters")
    assert found.size == 24
    assert 0 < found.allowed == len(expected) < 24
    fits = {point: total for point, total in expected.items() if total <= 500_000_000}
    assert 0 < len(fits) < len(expected)
    assert {tuple(p.values.values()): p.left for p in found.points} == fits


@pytest.mark.slow
def test_a_search_of_half_a_million_points_finds_the_released_one() -> None:
    session = table(V3)
    axes = [
        make_axis("dim", range(4096, 9216, 64)),
        make_axis("n_layers", range(40, 80)),
        make_axis("n_routed_experts", range(64, 512, 8)),
        make_axis("moe_inter_dim", range(1024, 2561, 512)),
    ]
    question = read_question("parameters == 671_026_419_200", session)
    found = search_lattice(session, question, axes, {}, 10)
    assert found.size == 716_800
    assert found.found == 1
    (point,) = found.points
    assert tuple(point.values.values()) == (7168, 61, 256, 2048)


def test_a_lattice_without_a_solution_gives_the_nearest() -> None:
    session = table(LLAMA)
    axes = [make_axis("n_layers", range(70, 90)), make_axis("inter_dim", range(28_000, 29_000, 8))]
    question = read_question("parameters == 70_553_706_497", session)
    found = search_lattice(session, question, axes, {}, 10)
    assert found.points == ()
    assert found.below is not None
    assert found.above is not None
    assert (found.below.left_over, found.below.values) == (1, {"n_layers": 80, "inter_dim": 28_672})
    assert found.above.left_over < 0


def test_default_ranges_hold_the_tables_value() -> None:
    for base in (1, 3, 8, 61, 128, 1536, 7168, 129_280):
        values = choose_axis("x", base, 1).values
        assert base in values
        assert min(values) <= max(1, base // 2)
        assert max(values) >= 2 * base
    assert choose_axis("x", 0, 0).values[0] == 0


def test_too_many_points_are_refused() -> None:
    session = table(LLAMA)
    axes = [make_axis("dim", range(1, 9000)), make_axis("inter_dim", range(1, 9000))]
    with pytest.raises(QuestionError, match=r"points are more than .*--within"):
        search_lattice(session, read_question("parameters == 1", session), axes, {}, 10)


# ---- the command -----------------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    (tmp_path / "tiny.dsv3").write_text(TINY)
    return tmp_path


def test_text_and_json(tiny: Path) -> None:
    """tiny has 2 × 32 × 8 + 2 × 2 × 4 × 64 parameters."""
    done = specgen_here("solve", "tiny.dsv3", "parameters == 1536", "--for", "n_layers", cwd=tiny)
    assert (done.status, done.err) == (0, "")
    assert "n_layers = 2\n  parameters = 1,536\n" in done.out
    done = specgen_here(
        "solve",
        "tiny.dsv3",
        "parameters <= 2000",
        "--for",
        "n_layers",
        "--format",
        "json",
        cwd=tiny,
    )
    document = json.loads(done.out)
    assert document["answers"] == [{"value": 2, "left": 1536, "right": 2000, "left_over": 464}]
    assert document["above"]["value"] == 3
    assert document["exact"] is False


def test_several_unknowns_say_what_was_searched(tiny: Path) -> None:
    done = specgen_here(
        "solve", "tiny.dsv3", "parameters == 1536", "--for", "dim,n_layers",
        "--within", "dim=4:16:4", "--limit", "3", cwd=tiny,
    )  # fmt: skip
    assert done.status == 0
    assert "2 solutions among 52 tables of 52 points" in done.out
    assert "  dim 4 to 16 by 4\n" in done.out


HOSTILE = [
    ("__import__('os').system('touch owned') == 1", 1),
    ("parameters == __import__", 1),
    ("eval(parameters) == 1", 1),
    ("parameters == 1; import os", 1),
    ("parameters.__class__ == 1", 1),
    ("parameters == {}", 1),
    ("(lambda: 1)() == 1", 1),
    ("parameters == 671B", 2),
    ("parameters", 2),
    ("parameters != 1", 2),
    ("parameters == 1 and parameters == 2", 2),
    ("parameters == 2 ** 2 ** 2 ** 2 ** 2 ** 2", 2),
    ("parameters == 1e999999999999", 1),
    ("parameters == 1 / 0", 2),
    ("parameters == " + "9" * 3000, 2),
    ("(" * 900 + "parameters" + ")" * 900 + " == 1", 1),
    ("", 1),
    ("paramters == 1", 1),
    ("kind == 1", 1),
    ("cache_bytes == 1", 2),
]


@pytest.mark.parametrize(("text", "status"), HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_questions(tiny: Path, text: str, status: int) -> None:
    done = specgen_here("solve", "tiny.dsv3", text, "--for", "dim", cwd=tiny)
    assert done.status == status, done.err
    assert "internal error" not in done.err
    assert not (tiny / "owned").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--for", "dmi"), "did you mean `dim`?"),
        (("--for", "__class__"), "there is no parameter or variable"),
        (("--for", "dim,dim"), "given twice"),
        (("--for", "dim", "--within", "9:3"), "LOW at most HIGH"),
        (("--for", "dim", "--within", "n_layers=1:3"), "is not among the unknowns"),
        (("--for", "dim,n_layers", "--within", "1:3"), "which unknown?"),
        (("--for", "dim", "--within", "dim=1:__import__('os')"), "E0"),
        (("--for", "dim,kind"), "several unknowns are whole numbers"),
        (("--for", "dim,n_layers", "--limit", "0"), "--limit"),
        (("--for", "dim,n_layers", "--within", "dim=1:100000000"), "more than"),
        (("--for", "vocab_size", "-D", "dim=nope"), "E0"),
    ],
)
def test_hostile_options(tiny: Path, arguments: tuple[str, ...], message: str) -> None:
    done = specgen_here("solve", "tiny.dsv3", "parameters == 1536", *arguments, cwd=tiny)
    assert done.status in (1, 2)
    assert message in done.err


STEPPED = """language 1
model stepped "S" {
  params { dim : size = 64   head_dim : size = dim / 8 }
  require { head_dim % 2 == 0    "features come in pairs" }
  dtypes { maps = f32  arrays = f32  activations = f32  caches = f32 }
  tensors { w : dim -> 3 × dim + 1 }
}
"""


REMAINDERS = given(by=st.integers(2, 60), rest=st.integers(0, 60))


@settings(max_examples=12, deadline=None)
@REMAINDERS
def test_of_many_solutions_those_nearest_to_the_table_are_given(by: int, rest: int) -> None:
    nearest_are_given(by, rest)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@REMAINDERS
def test_of_many_solutions_those_nearest_to_the_table_are_given_more(by: int, rest: int) -> None:
    nearest_are_given(by, rest)


def nearest_are_given(by: int, rest: int) -> None:
    """One on each side at least for each remainder, wherever the table's rules leave any."""
    with TemporaryDirectory() as place:
        path = Path(place) / "stepped.dsv3"
        path.write_text(STEPPED, encoding="utf-8")
        question = f"parameters % {by} == {rest % by}"
        session = Session(Selection(path))
        found = solve_for(session, read_question(question, session), "dim")
    right = [
        dim for dim in range(16, 16 * 2 * by + 128, 16) if dim * (3 * dim + 1) % by == rest % by
    ]
    answers = [answer.value for answer in found.exact]
    below, above = [d for d in right if d <= 64], [d for d in right if d > 64]
    assert all(dim % 16 == 0 and dim * (3 * dim + 1) % by == rest % by for dim in answers)
    assert bool(answers) == bool(right)
    below, above = [d for d in right if d <= 64], [d for d in right if d > 64]
    if below:
        assert max(below) in answers
    if above and 64 not in right:  # where every value is a solution, the table's own stands for all
        assert min(above) in answers
