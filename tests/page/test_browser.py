"""report.html in a browser: figures exact, requirements red, usable by keyboard and on a phone."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from specgen.analysis.quantities.ledger import Ledger, ledger
from specgen.analysis.quantities.variables import DEFAULTS
from specgen.backends.report.page import write_page
from specgen.diagnostics.diagnostic import SpecError
from specgen.expr.evaluate import EvaluationError, Value, evaluate
from specgen.huggingface.select import select
from specgen.ir.model import Param
from tests.page.browser import Visit, chromium, opened, written

pytestmark = pytest.mark.slow

#: Table -> how many random configurations of it, 1,000 in all.
CONFIGURATIONS = {
    "deepseek_v3@v3_671b": 200, "deepseek_v3@v2_lite_16b": 100, "llama@llama31_8b": 150,
    "gpt_oss@gpt_oss_20b": 100, "qwen2_moe": 100, "phi3@phi4_mini": 100, "glm4_moe": 100,
    "gemma2": 100, "dsv3_table": 50,
}  # fmt: skip

HOSTILE = str(Path(__file__).with_name("hostile.dsv3"))

#: Sets each configuration in the page, and reads back what it shows.
SHOWN = """(configurations) => configurations.map(([params, variables]) => {
  const { page, table } = specgen;
  table.reset();
  for (const [name, text] of [...params, ...variables])
    if (table.params.has(name) || table.defaults.has(name)) table.set(name, table.read(name, text));
  page.render();
  const entries = [...document.querySelectorAll("[data-quantity]")];
  return {
    void: page.root.classList.contains("void"),
    kinds: page.figures.problems.map((problem) => problem.kind),
    notice: page.parts.notice.textContent,
    figures: Object.fromEntries(entries.map((entry) => [
      entry.dataset.quantity,
      [entry.querySelector(".value").textContent, entry.querySelector(".error").textContent],
    ])),
  };
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def deepseek(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written("deepseek_v3@v3_671b", tmp_path_factory.mktemp("deepseek"))


# ---- exact -----------------------------------------------------------------------------


def drawn(param: Param, generator: random.Random) -> Value:
    """A value near the table's own or far from it; some break a requirement."""
    match param.kind, param.value:
        case ("size" | "count") as kind, int(value):
            low = 1 if kind == "size" else 0
            near = max(low, value + 2 * generator.randint(-4, 4))
            return generator.choice(
                [generator.randint(low, 4 * max(value, 2)), max(low, value // 2), 2 * value, near]
            )
        case "real", float(value):
            return generator.choice([2 * value, value / 2, 1.0, 0.5])
        case "flag", _:
            return generator.random() < 0.5
        case "choice", _:
            return generator.choice(param.choices)
        case _:
            return None


def text(value: Value) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def configurations(base: Ledger, count: int) -> Iterator[tuple[dict[str, Any], dict[str, int]]]:
    generator = random.Random(f"{base.program.name} {base.program.variant}")
    params = base.program.model.params
    for _ in range(count):
        chosen = generator.sample(params, k=min(len(params), generator.randint(1, 3)))
        values = {param.name: drawn(param, generator) for param in chosen}
        yield (
            {name: value for name, value in values.items() if value is not None},
            {
                "B": generator.randint(1, 64),
                "S": generator.randint(1, 2**17),
                "T": generator.randint(1, 2**20),
            },
        )


@pytest.mark.parametrize("spec", CONFIGURATIONS)
def test_random_configurations_show_python_s_exact_figures(
    spec: str, browser: Any, tmp_path: Path
) -> None:
    """The same overrides, elaborated anew by Python; every figure that the page shows is equal.

    What Python refuses is void on the page; what the page declares void, Python refuses, but
    for structures that are not on it.
    """
    table, base = opened(spec)
    path = tmp_path / "report.html"
    path.write_text(write_page(base, table), encoding="utf-8")
    asked = list(configurations(base, CONFIGURATIONS[spec]))
    visit = Visit(browser, path)
    shown = visit.page.evaluate(
        SHOWN,
        [
            [[[n, text(v)] for n, v in part.items()] for part in (params, at)]
            for params, at in asked
        ],
    )
    visit.close()
    figures = withheld = other = 0
    for (params, at), found in zip(asked, shown, strict=True):
        try:
            truth = ledger(table.program(params))
        except SpecError:
            assert found["void"], params
            continue
        if found["void"]:
            assert found["kinds"] == ["structure"], (params, found["notice"])
            other += 1
            continue
        for name, quantity in truth.quantities.items():
            value, reason = found["figures"][name]
            expected = exact(quantity.expr, {**DEFAULTS, **at, **truth.values})
            figures += 1
            if value == "—":
                assert reason, (params, name)
                withheld += expected is not None
            else:
                assert value == expected, (params, name)
    assert figures > 10 * len(asked)
    assert withheld <= figures // 100
    assert other <= len(asked) // 5


def exact(expr: Any, values: dict[str, Value]) -> str | None:
    try:
        return None if expr is None else f"{evaluate(expr, values):,}"
    except EvaluationError:
        return None


ARITHMETIC = """(cases) => cases.map(([op, args]) => {
  const read = (text) => text.includes("/") ? quotient(...text.split("/").map(BigInt))
    : /^-?\\d+$/.test(text) ? BigInt(text) : Number(text);
  const found = attempt(() => apply(op, args.map(read)));
  if (found.fault) return "fault";
  return typeof found.value === "number" ? `float ${found.value}` : plainText(found.value);
})"""


def test_arithmetic_is_python_s(browser: Any, deepseek: Path) -> None:
    """Whole numbers, quotients and reals mixed; reals may differ by their last bit only."""
    from fractions import Fraction

    from specgen.expr.evaluate import apply

    generator = random.Random(5)

    def operand() -> int | Fraction | float:
        whole = generator.choice([0, 1, -1, 3, 128, 7168, 2**53 + 1, -(2**61) - 1, 10**30])
        return generator.choice(
            [whole, Fraction(whole, generator.choice([3, 7, 128])), generator.uniform(-9, 9), 0.5]
        )

    operators = ["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "min", "max"]
    single = ["ceil", "floor", "neg", "abs", "sqrt", "ln", "exp", "tanh"]
    cases = [(op, [operand(), operand()]) for op in operators for _ in range(60)]
    cases += [("**", [operand(), generator.randint(-9, 9)]) for _ in range(60)]
    cases += [(op, [operand()]) for op in single for _ in range(30)]
    asked = [[op, [spelled(arg) for arg in args]] for op, args in cases]
    visit = Visit(browser, deepseek)
    found = visit.page.evaluate(ARITHMETIC, asked)
    visit.close()
    for (op, args), shown in zip(cases, found, strict=True):
        try:
            value = apply(op, [simplified(arg) for arg in args])
        except EvaluationError:
            assert shown == "fault", (op, args)
            continue
        if isinstance(value, float):
            assert shown.startswith("float "), (op, args, value)
            assert float(shown.removeprefix("float ")) == pytest.approx(value, rel=1e-14), (
                op,
                args,
            )
        else:
            assert shown == text(value), (op, args)


def simplified(value: Any) -> Any:
    return value.numerator if getattr(value, "denominator", None) == 1 else value


def spelled(value: Any) -> str:
    if isinstance(value, float):
        return f"{value!r}" if not value.is_integer() else f"{value!r}e0"
    return str(value)


# ---- what a reader does ----------------------------------------------------------------


def test_released_figures_stand_on_the_page(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek)
    assert visit.value("parameters") == "671,026,419,200"
    assert visit.value("parameters_active") == "37,552,297,472"
    assert visit.value("cache_bytes_per_token") == "70,272"
    assert visit.value("flops_prefill") == "170,973,789,683,712"
    visit.close()


def test_a_slider_moves_every_figure_and_stays_fluid(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek)
    took = visit.page.evaluate(
        """async () => {
          const slider = document.querySelector("[data-param=moe_inter_dim] .slider");
          const took = [];
          for (let i = 20; i < 50; i += 1) {
            slider.value = i;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
            await new Promise(requestAnimationFrame);
            await new Promise(requestAnimationFrame);
            took.push(specgen.page.took);
          }
          return took.sort((a, b) => a - b)[15];
        }"""
    )
    assert took < 50, "milliseconds of script for one move, in the median"
    shown = visit.page.evaluate("specgen.table.text(specgen.page.figures.valueOf('moe_inter_dim'))")
    table, _ = opened("deepseek_v3@v3_671b")
    truth = ledger(table.program({"moe_inter_dim": int(shown)}))
    assert visit.value("parameters") == f"{truth.value('parameters'):,}"
    visit.close()


def test_a_broken_requirement_is_red_with_its_reason(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek)
    visit.fill("n_dense_layers", "62")
    reason = "the dense layers are a prefix of the stack"
    assert reason in visit.page.inner_text(".notice")
    assert reason in visit.page.inner_text(".conditions .broken")
    for name in ("n_layers", "n_dense_layers"):
        assert visit.page.get_attribute(f"#param-{name}", "aria-invalid") == "true"
        assert reason in visit.page.inner_text(f"#param-{name}-error")
    red, green, blue = colors(visit, "[data-param=n_layers] label")
    assert red > 2 * max(green, blue)
    assert (
        visit.page.evaluate("getComputedStyle(document.querySelector('.big')).textDecorationLine")
        == "line-through"
    )
    visit.fill("n_dense_layers", "3")
    assert visit.page.is_hidden(".notice")
    assert visit.page.get_attribute("#param-n_layers", "aria-invalid") is None
    visit.close()


def colors(visit: Visit, selector: str) -> list[int]:
    style = visit.page.evaluate(
        "(s) => getComputedStyle(document.querySelector(s)).color", selector
    )
    return [int(part) for part in re.findall(r"\d+", style)[:3]]


def test_values_that_are_none_are_refused_in_words(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek)
    for typed in ("-1", "1.5", "seven", "0", "1e3"):
        visit.fill("dim", typed)
        assert "whole number from 1" in visit.page.inner_text("#param-dim-error"), typed
    visit.fill("dim", "7168")
    visit.close()


def test_another_structure_is_named_and_how_to_build_it(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek, "#q_lora_rank=0&n_shared_experts=0")
    notice = visit.page.inner_text(".notice")
    command = "specgen build deepseek_v3@v3_671b -D q_lora_rank=0 -D n_shared_experts=0"
    assert command in notice
    visit.page.click("text=Reset")
    visit.frame()
    assert visit.page.is_hidden(".notice")
    visit.close()


def test_the_address_keeps_the_state(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek, "#n_layers=30&B=4&:lang=zh&:theme=dark&dim=no&other=1")
    assert visit.page.input_value("#param-n_layers") == "30"
    assert visit.page.input_value("#param-dim") == "7168"
    assert visit.page.get_attribute("html", "lang") == "zh-Hans"
    visit.fill("n_layers", "31")
    visit.until("location.hash.includes('n_layers=31')")
    before = visit.value("parameters")
    visit.page.reload()
    visit.page.wait_for_selector(".hero .card")
    assert visit.value("parameters") == before
    assert visit.page.input_value("#param-B") == "4"
    visit.page.evaluate("location.hash = 'n_layers=20'")
    visit.until("document.querySelector('#param-n_layers').value === '20'")
    visit.close()


def test_everything_works_with_the_keyboard(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek)
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached: dict[str, bool] = {}
    for _ in range(200):
        page.keyboard.press("Tab")
        tag, outlined = page.evaluate(
            """() => {
              const at = document.activeElement;
              const shown = [at, at.nextElementSibling, at.querySelector(".surface")].filter(Boolean)
                .map((element) => getComputedStyle(element));
              return [at.dataset.param ?? at.id ?? at.tagName, shown.some((style) =>
                (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0)
                || (style.stroke !== "none" && parseFloat(style.strokeWidth) >= 2))];
            }"""
        )
        if page.evaluate("document.activeElement === document.body"):
            break
        reached[tag] = reached.get(tag, True) and outlined
    assert all(reached.values()), [tag for tag, seen in reached.items() if not seen]
    for param in ("dim", "gate_bias", "score_func", "rope_theta", "B", "T"):
        assert f"param-{param}" in reached
    before = visit.value("parameters")
    page.focus("[data-param=dim] .slider")
    page.keyboard.press("ArrowRight")
    visit.frame()
    assert visit.value("parameters") != before
    page.focus("#param-dim")
    page.keyboard.press("ArrowDown")
    visit.frame()
    assert visit.value("parameters") == before
    page.focus(".diagram .line[tabindex='0']")
    for _ in range(4):
        page.keyboard.press("ArrowDown")
    chosen = page.text_content(".diagram .line[aria-selected=true] .name")
    assert chosen == page.evaluate("document.activeElement.querySelector('.name').textContent")
    assert chosen in page.inner_text(".detail")
    page.focus(".plot")
    page.keyboard.press("ArrowRight")
    assert "4,096 tokens: this configuration 287.8 MB (287,834,112)" in page.inner_text(".readout")
    visit.close()


def test_every_control_has_a_name(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek)
    nameless = visit.page.evaluate(
        """() => [...document.querySelectorAll("input, select, button, [tabindex]")]
          .filter((at) => !(at.labels?.length || at.ariaLabel || at.textContent.trim()))
          .map((at) => at.outerHTML)"""
    )
    assert nameless == []
    visit.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_by_system_and_by_choice(scheme: str, browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek, color_scheme=scheme)

    def brightness() -> float:
        style = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", style)[:3]) / 3

    assert (brightness() > 200) == (scheme == "light")
    assert (max(colors(visit, "h1")) < 80) == (scheme == "light")
    visit.page.select_option(".theme", "dark" if scheme == "light" else "light")
    assert (brightness() > 200) == (scheme == "dark")
    visit.close()


def test_chinese_and_english(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek)
    assert visit.page.inner_text("#title-shares") == "Where the parameters are"
    assert "1. Embedding" in visit.page.inner_text(".shares")
    visit.page.check("input[name=language][value=zh]", force=True)
    assert visit.page.inner_text("#title-shares") == "参数分布"
    assert "一、Embedding层" in visit.page.inner_text(".shares")
    assert "width of the residual stream" in visit.page.inner_text("[data-param=dim]")
    assert visit.page.get_attribute("html", "lang") == "zh-Hans"
    visit.close()
    reader = Visit(browser, deepseek, locale="zh-CN")
    assert reader.page.inner_text("#title-shares") == "参数分布"
    reader.close()


def test_a_language_leaves_the_banner_as_it_was(browser: Any, deepseek: Path) -> None:
    """Empty it is not there, and full it is there, in the words of the language."""
    visit = Visit(browser, deepseek)
    for layers, dense in ((None, None), ("30", "31"), ("30", "3")):
        if layers is not None:
            visit.fill("n_layers", layers)
            visit.fill("n_dense_layers", dense)
        said = []
        for language in ("zh", "en", "zh", "en"):
            visit.page.check(f"input[name=language][value={language}]", force=True)
            visit.frame()
            assert visit.page.is_visible(".notice") == (dense == "31")
            said.append(visit.page.inner_text(".notice") if dense == "31" else "")
        assert said[:2] == said[2:]
        assert (said[0] != said[1]) == (dense == "31")
    visit.close()


def marked(visit: Visit) -> dict[str, str]:
    """The params that are marked as changed, with what is said of them."""
    found: dict[str, str] = visit.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll(".control.changed")]
          .map((at) => [at.dataset.param, at.querySelector(".note").textContent]))"""
    )
    return found


def test_params_are_marked_where_they_are_not_the_table_s(browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek)
    assert marked(visit) == {}
    visit.fill("n_layers", "30")
    assert marked(visit).keys() == {"n_layers"}
    assert "the table has 61" in marked(visit)["n_layers"]
    visit.fill("n_layers", "61")  # typed, it is the table's again
    assert marked(visit) == {}
    assert visit.page.is_disabled("[data-param=n_layers] .undo")
    visit.fill("dim", "2048")  # another one follows it
    assert marked(visit).keys() == {"dim", "gate_bias"}
    assert "the table has true" in marked(visit)["gate_bias"]
    visit.page.check("input[name=language][value=zh]", force=True)
    assert "表中为 7,168" in marked(visit)["dim"]
    visit.close()


def test_params_of_a_build_are_marked_against_its_variant(browser: Any, tmp_path: Path) -> None:
    table = select("llama@llama3_8b", {"n_layers": "2", "dim": "4096"}).opened()
    path = tmp_path / "report.html"
    path.write_text(write_page(ledger(table.program()), table), encoding="utf-8")
    visit = Visit(browser, path)
    assert marked(visit).keys() == {"n_layers"}
    assert "the table has 32" in marked(visit)["n_layers"]
    assert "with n_layers = 2, dim = 4096" in visit.page.inner_text(".masthead .note")
    visit.close()


@pytest.mark.parametrize(
    "fragment",
    ["", "#:lang=zh", "#n_dense_layers=99&B=123456789", "#q_lora_rank=0&n_shared_experts=0"],
)
@pytest.mark.parametrize("width", [320, 360, 768, 1024, 1920])
def test_no_width_scrolls_sideways(fragment: str, width: int, browser: Any, deepseek: Path) -> None:
    visit = Visit(browser, deepseek, fragment, viewport={"width": width, "height": 740})
    visit.page.evaluate("document.querySelectorAll('details').forEach((at) => { at.open = true; })")
    visit.frame()
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= width
    visit.close()


@pytest.mark.parametrize("spec", ["dsv3_table", "gpt2", "gemma2@gemma2_2b", "phi3", "mixtral"])
def test_every_kind_of_table_has_its_page(spec: str, browser: Any, tmp_path: Path) -> None:
    visit = Visit(browser, written(spec, tmp_path), viewport={"width": 360, "height": 740})
    _, base = opened(spec)
    assert visit.value("parameters") == f"{base.value('parameters'):,}"
    assert visit.page.locator(".diagram .line").count() > 2
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    visit.close()


LAYER = """language 1
model layer "A layer" {
  params { dim : size = 64 }
  tensors { w : dim -> dim }
  forward(x: [B, S, dim]) -> (input: [B, S, dim], state: [B, S, dim]) { return x, w(x) }
}
"""


def test_the_ends_of_the_picture_are_those_of_the_forward(browser: Any, tmp_path: Path) -> None:
    (tmp_path / "layer.dsv3").write_text(LAYER, encoding="utf-8")
    for spec, shown in (
        (str(tmp_path / "layer.dsv3"), ["x", "input, state"]),
        ("gpt2", ["tokens", "logits"]),
        ("dsv3_table", ["input", "output"]),
    ):
        visit = Visit(browser, written(spec, tmp_path))
        assert visit.page.locator(".pill-text").all_text_contents() == shown
        if spec != "gpt2":
            assert visit.page.locator(".panel.session").count() == (spec != "dsv3_table")
            assert ("a length of x" in visit.page.inner_text(".controls")) == (spec != "dsv3_table")
        visit.close()


def test_the_page_says_how_to_get_to_a_session(browser: Any, tmp_path: Path) -> None:
    visit = Visit(browser, written("llama@llama32_1b", tmp_path), "#n_layers=3")
    command = "specgen build llama@llama32_1b -D n_layers=3 --checkpoint FOLDER"
    assert visit.page.text_content(".session .command") == command
    visit.close()


def test_a_table_that_attacks_its_page_does_nothing(browser: Any, tmp_path: Path) -> None:
    """Its texts stand there as they are; that the policy had to stop none, `faults` shows."""
    table, base = opened(HOSTILE)
    path = tmp_path / "report.html"
    path.write_text(write_page(base, table), encoding="utf-8")
    visit = Visit(browser, path)
    page = visit.page
    for element in page.query_selector_all(".diagram .line, summary"):
        element.click()
    page.focus("#param-style")
    for language in ("zh", "en"):
        page.check(f"input[name=language][value={language}]", force=True)
    visit.fill("dim", "7")
    assert page.evaluate("window.hit") is None
    assert (
        page.evaluate("document.querySelectorAll('img, iframe, b[onclick], svg[onload]').length")
        == 0
    )
    assert "</script><img src=x onerror='window.hit = 2'>" in page.inner_text("[data-param=dim]")
    assert "<svg onload='window.hit = 5'>" in page.inner_text(".notice")
    assert page.title() == "</title></script><script>window.hit = 1</script>"
    visit.close()


def test_an_address_that_attacks_its_page_does_nothing(browser: Any, deepseek: Path) -> None:
    fragment = "#dim=<img src=x onerror=window.hit=1>&score_func=<script>&__proto__=1&constructor=2&:lang=__proto__"
    visit = Visit(browser, deepseek, fragment)
    assert visit.page.evaluate("window.hit") is None
    assert visit.page.evaluate("document.querySelectorAll('img').length") == 0
    visit.close()
