"""What `--sweep` takes: ranges and lists, read by the table's own parser, within limits."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from specgen.diagnostics.diagnostic import RequestError, SpecError
from specgen.expr.evaluate import Value
from specgen.frontend.files import ModuleDefinition
from specgen.huggingface.select import select
from specgen.questions.points import make_axis, make_columns, read_axes, read_values
from specgen.questions.values import SweepError


@pytest.fixture(scope="module")
def model() -> ModuleDefinition:
    return select("deepseek_v3").opened().model


@pytest.fixture(scope="module")
def mixed() -> ModuleDefinition:
    return select("qwen3_moe").opened().model


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("dim", "1024:4096:1024", (1024, 2048, 3072, 4096)),
        ("dim", "1:8:3", (1, 4, 7)),
        ("dim", "8:1:-3", (8, 5, 2)),
        ("dim", "5:5", (5,)),
        ("n_layers", "1:3,61,2:4", (1, 2, 3, 61, 4)),
        ("dim", "2 ** 10, 2 ** 12", (1024, 4096)),
        ("gate_bias", "true,false", (True, False)),
        ("score_func", 'softmax,"sigmoid"', ("softmax", "sigmoid")),
        ("weight_format", "bf16,fp8_block", ("bf16", "fp8_block")),
        ("rope_factor", "0.1:0.3:0.1", (0.1, 0.2, 0.3)),
        ("rope_theta", "1e4,1e6", (1e4, 1e6)),
        ("T", "1024,131072", (1024, 131072)),
        ("W", "1/2,1,2", (Fraction(1, 2), 1, 2)),
        ("W", "0.5", (Fraction(1, 2),)),
    ],
)
def test_values(model: ModuleDefinition, name: str, text: str, expected: tuple[Value, ...]) -> None:
    found = read_values(name, text, model)
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_lists(mixed: ModuleDefinition) -> None:
    assert read_values("mlp_only_layers", "[],[1, 2],[3]", mixed) == ((), (1, 2), (3,))


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("dim", "", "lacks a value"),
        ("dim", "1,,2", "lacks a value"),
        ("dim", "1:", "lacks a value"),
        ("dim", "1:2:3:4", "is no range"),
        ("dim", "1:9:0", "a step of 0 never arrives"),
        ("dim", "9:1", "the step leads away from the end"),
        ("dim", "1:99999999", "more than 10,000,000"),
        ("dim", "true:false", "a range has numbers"),
        ("dim", "1/0", "division by zero"),
        ("dim", "2 ** 2 ** 2 ** 2 ** 2 ** 2", "beyond the limits"),
        ("dim", "1" * 3000, "longer than"),
        ("dimm", "1", "did you mean `dim`"),
        ("qk_head_dim", "1", "no parameter or variable `qk_head_dim`"),
        ("B", "0", "`B` .sequences of a batch. is a whole number from 1"),
        ("B", "1.5", "not 3/2"),
        ("S", "true", "not true"),
        ("T", '"a"', "is a whole number"),
        ("T", "2**60", "is a whole number"),
    ],
)  # fmt: skip
def test_faults_of_the_command_line(
    model: ModuleDefinition, name: str, text: str, reason: str
) -> None:
    with pytest.raises(RequestError, match=reason):
        read_axes([(name, text)], model)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("dim", "0", "must be a whole number from 1"),
        ("dim", "1:2:1/2", "must be a whole number"),
        ("dim", "true", "must be a whole number"),
        ("dim", "dim", "means nothing here"),
        ("dim", "n_layers", "means nothing here"),
        ("dim", "__import__", "means nothing here"),
        ("dim", "().__class__", "expected"),
        ("dim", "exec(1)", "exec"),
        ("score_func", "tanh", "means nothing here"),
        ("score_func", '"tanh"', 'must be "softmax" or "sigmoid"'),
        ("gate_bias", "1", "must be true or false"),
        ("weight_format", "nothing", "must be a dtype or a storage format"),
        ("dim", "1 2", "expected"),
        ("dim", "lambda: 0", "expected|means nothing"),
    ],
)  # fmt: skip
def test_faults_of_a_value(model: ModuleDefinition, name: str, text: str, reason: str) -> None:
    with pytest.raises((SpecError, RequestError), match=reason):
        read_axes([(name, text)], model)


def test_a_name_twice(model: ModuleDefinition) -> None:
    with pytest.raises(SweepError, match="`dim` is swept twice"):
        read_axes([("dim", "1"), ("dim", "2")], model)


def test_too_many_points(model: ModuleDefinition) -> None:
    with pytest.raises(SweepError, match="= 25,000,000 points are more than 10,000,000"):
        read_axes([("dim", "1:5000"), ("inter_dim", "1:5000")], model)


def test_batches_are_parts_of_the_product() -> None:
    axes = [make_axis("a", (1, 2, 3)), make_axis("b", ("x", "y")), make_axis("c", (True, False))]
    whole = make_columns(axes, 0, 12)
    assert whole["a"].tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert whole["b"].tolist() == ["x", "x", "y", "y"] * 3
    assert whole["c"].tolist() == [True, False] * 6
    part = make_columns(axes, 5, 9)
    assert all(np.array_equal(part[name], whole[name][5:9]) for name in whole)


def test_whole_numbers_beyond_int64_are_kept() -> None:
    assert make_axis("a", (1, 2**63)).array.tolist() == [1, 2**63]
    assert make_axis("a", (1, 2**63 - 1)).array.dtype == np.int64
