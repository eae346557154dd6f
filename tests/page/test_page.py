"""report.html without a browser: quoting, structures, order, and that it stands alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specgen.analysis.quantities.ledger import Ledger
from specgen.backends.report import emit
from specgen.backends.report.page import write_page
from specgen.backends.report.page.document import page_document
from specgen.backends.report.page.nodes import Nodes
from specgen.backends.report.page.quoting import data, html
from specgen.backends.report.page.signature import ends
from specgen.backends.report.page.structures import MAX_STRUCTURES, structures
from specgen.backends.report.page.tree import TreePlace, tree
from specgen.backends.report.page.words import CHINESE, ENGLISH
from specgen.expr.evaluate import evaluate
from specgen.expr.node import Apply, Const, Sym
from specgen.frontend.load import check_file
from specgen.frontend.opened import Opened
from tests.families import ONE_EACH
from tests.page.browser import opened

HOSTILE = str(Path(__file__).with_name("hostile.dsv3"))


class Tags(HTMLParser):
    """Tags and attributes of a page, and what its scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.scripts:
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def llama() -> tuple[Opened, Ledger]:
    return opened("llama@llama31_8b")


@pytest.fixture(scope="module")
def page(llama: tuple[Opened, Ledger]) -> str:
    table, base = llama
    return write_page(base, table)


# ---- quoting ---------------------------------------------------------------------------


@given(st.text())
def test_markup_holds_no_text_that_opens_or_leaves_it(text: str) -> None:
    assert not set(html(text)) & set("<>\"'`")
    assert "&" not in re.sub(r"&(amp|lt|gt|quot|#39|#96);", "", html(text))


@given(st.text() | st.dictionaries(st.text(), st.lists(st.text())))
def test_data_is_json_that_cannot_end_its_script(value: Any) -> None:
    text = data(value)
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == value


def test_half_a_character_is_escaped() -> None:
    assert data("a\ud800") == '"a\\ud800"'


def test_texts_of_a_table_add_no_tag_and_no_script() -> None:
    """The page of a table whose every text attacks it has the tags of any other, in order."""
    table, base = opened(HOSTILE)
    plain, ledger = opened("dsv3_table")
    attacked, usual = Tags(write_page(base, table)), Tags(write_page(ledger, plain))
    assert [tag for tag, _ in attacked.tags] == [tag for tag, _ in usual.tags]
    assert attacked.scripts[1] == usual.scripts[1]
    title = json.loads(attacked.scripts[0])["title"]
    assert title == "</title></script><script>window.hit = 1</script>"


# ---- one file that stands alone --------------------------------------------------------


def test_the_page_names_no_other_place(page: str) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[A-Za-z0-9.-]+\.[a-z]+[^\s\"']*", page))
    assert addresses == {"http://www.w3.org/2000/svg"}
    for tag, attributes in Tags(page).tags:
        assert tag not in ("link", "img", "iframe", "base", "object", "embed"), tag
        assert not {"src", "href", "style"} & attributes.keys(), tag
    assert "@import" not in page
    assert "url(" not in page.replace('"url(#arrow)"', "")


def test_the_policy_allows_its_own_script_and_style_and_nothing_else(page: str) -> None:
    (policy,) = [a["content"] or "" for t, a in Tags(page).tags if a.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"


def test_no_code_of_the_page_takes_text_for_code_or_markup(page: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert word not in script


def test_the_same_table_gives_the_same_page(llama: tuple[Opened, Ledger], page: str) -> None:
    table, _ = opened("llama@llama31_8b")
    assert emit(table.program(), table)["report.html"].decode() == page


@pytest.mark.slow
def test_the_page_of_the_largest_table_is_small() -> None:
    table, base = opened("deepseek_v3@v3_671b")
    assert len(write_page(base, table).encode()) < 300_000


# ---- what it holds ---------------------------------------------------------------------


@pytest.mark.slow
def test_structures_are_reached_from_the_table_and_hold_where_they_are() -> None:
    table, base = opened("deepseek_v3@v3_671b")
    held = list(structures(base, table))
    assert 1 < len(held) <= MAX_STRUCTURES
    changed = [
        {name for name, value in found.program.values.items() if value != base.values[name]}
        for found in held
    ]
    assert changed[0] == set()
    for name in ("gate_bias", "rope_scaling", "n_mtp_layers"):
        assert {name} in changed
    for number, found in enumerate(held):
        decided = [all(evaluate(c, found.values) is True for c in o.decided) for o in held]
        assert decided.index(True) == number, "the first that holds is the one counted there"


def test_a_page_without_the_opened_table_has_one_structure(llama: tuple[Opened, Ledger]) -> None:
    _, base = llama
    assert len(page_document(base, None)["structures"]) == 1


def test_params_keep_their_definitions(llama: tuple[Opened, Ledger]) -> None:
    """A param that follows others does so on the page: as `-D` has it, not as a number."""
    table, base = llama
    found = page_document(base, table)
    names = {param["name"]: found["nodes"][param["set"]] for param in found["params"]}
    operator, left, right = names["head_dim"]
    assert (operator, found["nodes"][left], found["nodes"][right]) == ("/", "dim", "n_heads")
    assert names["dim"] == 4096


def test_numbers_beyond_javascript_s_and_reals_are_written_as_texts() -> None:
    nodes = Nodes()
    nodes.number(Apply("+", (Const(2**53), Apply("*", (Const(0.1), Sym("a"))))))
    assert {"i": str(2**53)} in nodes.written
    assert {"f": "0.1"} in nodes.written
    assert nodes.written[-1] == ["+", 0, 3]
    assert nodes.number(Const(True)) != nodes.number(Const(1))


def names(place: TreePlace, ledger: Ledger) -> list[Any]:
    return [
        item.name if isinstance(item, TreePlace) else ledger.rows[item].path.rpartition(".")[2]
        for item in place.items
        if isinstance(item, TreePlace) or ledger.rows[item].kind != "scale"
    ]


def test_the_picture_follows_the_forward() -> None:
    _, base = opened("deepseek_v3@v3_671b_mtp")
    drawn = tree(base)
    assert names(drawn, base) == ["rope", "embed", "layers", "norm", "head", "mtp"]
    inner = {place.name: place for place in drawn.items if isinstance(place, TreePlace)}
    assert not inner["mtp"].used
    block = inner["layers"]
    assert names(block, base) == ["attn_norm", "attn", "ffn_norm", "ffn", "ffn"]
    dense, sparse = (place for place in block.items[3:] if isinstance(place, TreePlace))
    assert [evaluate(p.multiplicity, base.values) for p in (block, dense, sparse)] == [61, 3, 58]
    attention = block.items[1]
    assert isinstance(attention, TreePlace)
    rows = [name for name in names(attention, base) if name in ("wq_a", "q_norm", "wq_b", "wo")]
    assert rows == ["wq_a", "q_norm", "wq_b", "wo"]
    assert block.linked == (False, True, True, True, False), "the second ffn is another choice"


def test_both_languages_say_everything() -> None:
    assert ENGLISH.keys() == CHINESE.keys()
    for key, said in ENGLISH.items():
        if isinstance(said, dict):
            assert said.keys() == CHINESE[key].keys()
        else:
            assert re.findall(r"\{\w+\}", said) == re.findall(r"\{\w+\}", CHINESE[key]) or sorted(
                re.findall(r"\{\w+\}", said)
            ) == sorted(re.findall(r"\{\w+\}", CHINESE[key]))


def test_every_word_that_the_script_uses_is_said(page: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    used = set(re.findall(r"\bwords\.([a-z_]+)\b", script))
    assert len(used) > 50
    assert used <= {*ENGLISH, "quantities"}


# ---- the forward, whatever it takes and gives --------------------------------------------


#: Forwards, what goes in, what comes out, and what their variables are lengths of.
FORWARDS: dict[str, tuple[str, list[str], list[str], dict[str, str]]] = {
    "logits": (
        "forward(tokens: i64 [B, S]) -> [B, S, words]"
        ' { return einsum("b s d, w d -> b s w", take(embed, tokens), embed) }',
        ["word", "tokens"], ["word", "logits"], {},
    ),
    "hidden states": (
        "forward(tokens: i64 [B, S]) -> [B, S, dim] { return take(embed, tokens) }",
        ["word", "tokens"], ["text", "[B, S, dim]"], {},
    ),
    "a layer": (
        "forward(x: [B, S, dim], y: [B, E, dim]) -> [B, S, dim]"
        ' { return x + take(embed, iota(S)) + rearrange(sum(y, over = 1), "b d -> b 1 d") }',
        ["text", "x, y"], ["text", "[B, S, dim]"], {"B": "x, y", "S": "x", "E": "y"},
    ),
    "several results": (
        "forward(x: [B, dim]) -> (input: [B, dim], seen: [B, words])"
        ' { return x, einsum("b d, w d -> b w", x, embed) }',
        ["text", "x"], ["text", "input, seen"], {"B": "x"},
    ),
    "a long name": (
        f"forward({'x' * 40}: [B, dim]) -> [B, words]"
        f' {{ return einsum("b d, w d -> b w", {"x" * 40}, embed) }}',
        ["text", "x" * 35 + "…"], ["text", "[B, words]"], {"B": "x" * 40},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORWARDS)
def test_the_picture_says_what_the_forward_takes_and_gives(kind: str, tmp_path: Path) -> None:
    forward, taken, given, found = FORWARDS[kind]
    path = tmp_path / "t.dsv3"
    head = "language 1\nmodel t { params { dim : size = 8  words : size = 9 }\n"
    path.write_text(f"{head}tensors {{ embed : [words, dim] }}\n{forward}\n}}\n", encoding="utf-8")
    assert not check_file(path).all
    table, base = opened(str(path))
    document = page_document(base, table)
    assert document["ends"] == {"input": taken, "output": given}
    assert document["lengths"] == found
    assert document["session"]
    assert all("logits" not in said for said, *_ in document["words"]["en"]["quantities"].values())


def test_a_pure_table_claims_no_tokens_and_no_session() -> None:
    table, base = opened("dsv3_table")
    document = page_document(base, table)
    assert document["ends"] == {"input": ["word", "input"], "output": ["word", "output"]}
    assert not document["session"]


@pytest.mark.slow
@pytest.mark.parametrize("spec", ONE_EACH)
def test_shipped_tables_take_tokens_and_give_logits(spec: str) -> None:
    _, base = opened(spec)
    assert ends(base) == {"input": ["word", "tokens"], "output": ["word", "logits"]}
