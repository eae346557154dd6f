"""`-D` of any param with any text, on every command: an answer or a diagnostic, never a crash."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.huggingface.select import select
from specgen.ir.model import Program
from tests.cli.running import specgen_here
from tests.fuzz.test_raw_output import raw

pytestmark = pytest.mark.slow

TABLES = (
    "llama@llama31_8b", "deepseek_v3@v3_671b", "gpt_oss", "phi3", "gemma2", "gpt2", "qwen2_moe",
    "glm4_moe", "gpt_neox", "cohere2", "mistral", "dsv3_table",
)  # fmt: skip

COMMANDS = (
    "check SPEC", "params SPEC", "params SPEC --expand --format json", "formula SPEC parameters",
    "formula SPEC flops_decode", "whatif SPEC", "whatif SPEC --sweep n_layers=1,2",
    "solve SPEC parameters==20 --for n_layers", "sensitivity SPEC parameters", "diff SPEC llama",
    "build SPEC --target pytorch", "build SPEC --target onnx", "build SPEC --target checkpoint",
    "build SPEC --target report,formulas", "verify SPEC nowhere.safetensors",
)  # fmt: skip

#: Values at the ends of what there is, of other types, and of no type.
ODD = (
    "0", "1", "-1", "2", "3", "1000000007", "281474976710656", "281474976710657", "1e308", "-1e308",
    "5e-324", "inf", "-inf", "nan", "1e999", "0.5", "1/3", "true", "false", "null", "x", '"x"', "'",
    "[]", "[1, 2]", "[0.1]", "[1e308]", "(", "a b", "×", "", " ", "\0", "\ud800", "\udc80", "٣",
    "1_000", "0x10", "1e3", "none", "bf16", "f8e4m3", "fp8_block", "i64", "dim", "dim * 2",
    "n_layers", "2 ** 40", "9" * 5000, "a" * 5000, f"[{'1, ' * 999}1]", "{x}", "\u202e", "\x1b[31m",
)  # fmt: skip


@cache
def program(table: str) -> Program:
    return select(table).program()


@st.composite
def lines(draw: st.DrawFn) -> list[str]:
    """A command line with one to three overrides."""
    table = draw(st.sampled_from(TABLES))
    params = program(table).model.params
    given: list[str] = []
    for param in draw(st.lists(st.sampled_from(params), min_size=1, max_size=3)):
        near = [str(param.value + step) for step in (-1, 1)] if type(param.value) is int else []
        value = draw(
            st.sampled_from([*ODD, *param.choices, *near]) | st.text() | st.integers().map(str)
        )
        given += ["-D", f"{param.name}={value}"]
    command = draw(st.sampled_from(COMMANDS))
    return [*(table if word == "SPEC" else word for word in command.split()), *given]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(arguments=lines())
def test_no_override_is_an_internal_error(
    tmp_path_factory: pytest.TempPathFactory, arguments: list[str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECGEN_CACHE", "off")
        done = specgen_here(*arguments, cwd=folder)
    assert done.status in (0, 1, 2), (arguments, done.err)
    assert "Traceback" not in done.err
    assert not raw(done.out + done.err)
