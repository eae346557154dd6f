"""Texts that attack what they are written to, in every place where a table has a text.

Every file of a build is what it is with harmless texts, but for the texts: model.py has the same
syntax tree, report.md the same blocks, report.html the same tags and scripts, model.onnx the same
nodes; and nowhere is anything raw that a terminal or an editor would act on.
"""

from __future__ import annotations

import ast
import unicodedata
from functools import cache
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import Message

from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.selection import Selection
from specgen.output.build import produce
from specgen.text.printable import UNSAFE
from tests.page.test_page import Tags
from tests.report.test_markdown import MARKDOWN

pytestmark = pytest.mark.slow

TEXTS = {
    "quotes": "it's '''triple''' and ``",
    "code": "'''); import os; os.system('touch pwned'); ('''",
    "backslash": "ends in a backslash \\",
    "escapes": "\\n \\x41 \\u202e \\N{BULLET} \\' \\",
    "comment ends": "*/ --> ]]> %} #} // x",
    "templates": "{{ 7 * 7 }} {% include 'x' %} ${7 * 7} %s %(x)s",
    "braces": "}} {{ } {",
    "script": "</script><script>window.hit = 1</script>",
    "markup": "<img src=x onerror=window.hit=1> <!-- </title></style>",
    "markdown": "| a | [x](javascript:hit) ![y](http://e.test) `z` **b**",
    "blocks": "# heading - item 1. item > quote ``` ---",
    "formula": "=cmd|' /C calc'!A0 @SUM(1) +1",
    "override": "a\u202egnp.exe",
    "isolates": "a\u2066b\u2069c\u200f",
    "invisible": "a\u200b\u200d\ufeffb\U000e0041",
    "terminal": "a\x1b]0;owned\x07b\x1b[31m\x9b2J",
    "line ends": "a\x85b\u2028c\u2029d\x0be\x0cf",
    "controls": "a\x08\x08\x7f\x01b",
}

#: `{0}` is in every place of a text, `{1}` in every comment, which may hold quotes, too.
TABLE = """\
language 1
# {1}
model small "{0}" {{
  params {{
    n    : size = 4 in tokens "{0}"
    k    : count = 2 "{0}"
    kind : "{0}" | "b" = "{0}" "{0}"
  }}
  let {{ both = n + k "{0}" }}
  require {{ n > 1 "{0}" }}
  dtypes {{ maps = bf16 arrays = bf16 activations = f32 caches = f32 }}
  parts {{ body[i] : layer × k "{0}" }}
  tensors {{
    table : [n, n] "{0}"
    head  : n -> n when kind == "{0}" "{0}"
    head  : n -> n when kind == "b" "{0}"
  }}
  # {1}
  forward(tokens: i64 [B, S], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, n] {{
    # {1}
    return head(twice(body(take(table, tokens))))
  }}
  # {1}
  function twice(x: [B, S, n]) -> [B, S, n] {{ return again(x) }}
  module layer "{0}" {{
    tensors {{ w : n -> n "{0}"  w.bias : [n] "{0}" }}
    cache {{ kept : [B, T, n] along T "{0}" }}
    # {1}
    forward(x: [B, S, n]) -> [B, S, n] {{
      seen = append(kept, w(x))
      return x + einsum("b t n, b s n -> b s n", seen, x)
    }}
  }}
  config hf {{ n -> "size"  "{0}" -> "text"  kind -> "kind" }}
  report en "{0}" {{
    "{0}" {{ "{0}" : head  "{0}" : both }}
  }}
  variant big "{0}" {{ n = 8 }}
}}
# {1}
function again(x: [B, S, N]) -> [B, S, N] {{ return x + x }}
"""


def built(text: str, folder: Path) -> dict[str, bytes]:
    path = folder / "small.dsv3"
    comment = f'"""{text}"""'
    path.write_text(TABLE.format(text, comment), encoding="utf-8")
    found = produce(Selection(path))
    assert not found.refused
    return {name: data for name, data in found.files.items() if isinstance(data, bytes)}


@cache
def harmless(folder: Path) -> dict[str, bytes]:
    return built("words", folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(params=TEXTS)
def pair(request: pytest.FixtureRequest, folder: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files with a hostile text, and with a harmless one."""
    plain = harmless(folder)
    return built(TEXTS[request.param], folder), plain


def raw(text: str) -> set[str]:
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in UNSAFE}


def skeleton(source: bytes) -> str:
    """A module's tree without its texts."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def blocks(source: bytes) -> list[str]:
    """What a document consists of, but for its words."""
    return [token.type for token in MARKDOWN.parse(source.decode())]


def strings(message: Message) -> list[str]:
    """Every text in a graph."""
    found: list[str] = []
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Message):
                found += strings(item)
            elif isinstance(item, str):
                found.append(item)
    return found


def test_every_file_is_what_it_is_with_harmless_texts(
    pair: tuple[dict[str, bytes], dict[str, bytes]],
) -> None:
    hostile, plain = pair
    assert hostile.keys() == plain.keys()
    for name, data in hostile.items():
        if not name.endswith(".onnx"):
            assert not raw(data.decode()), (name, raw(data.decode()))
    assert skeleton(hostile["model.py"]) == skeleton(plain["model.py"])
    assert blocks(hostile["report.md"]) == blocks(plain["report.md"])
    assert "html" not in "".join(blocks(hostile["report.md"]))
    attacked, usual = (Tags(files["report.html"].decode()) for files in (hostile, plain))
    assert [tag for tag, _ in attacked.tags] == [tag for tag, _ in usual.tags]
    assert attacked.scripts[1:] == usual.scripts[1:]


def test_a_graph_is_what_it_is_with_harmless_texts(
    pair: tuple[dict[str, bytes], dict[str, bytes]],
) -> None:
    hostile, plain = (
        {
            name: onnx.load_from_string(data)
            for name, data in files.items()
            if name.endswith(".onnx")
        }
        for files in pair
    )
    assert hostile
    for name, model in hostile.items():
        for text in strings(model):
            assert not raw(text), (name, text)
        assert [n.op_type for n in model.graph.node] == [n.op_type for n in plain[name].graph.node]
        assert [n.output for n in model.graph.node] == [n.output for n in plain[name].graph.node]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_text_ends_with_its_line(end: str, tmp_path: Path) -> None:
    path = tmp_path / "small.dsv3"
    path.write_text(TABLE.format(f"a{end}b", "x"), encoding="utf-8", newline="")
    with pytest.raises(SpecError) as caught:
        produce(Selection(path))
    assert {fault.code for fault in caught.value.diagnostics} >= {"E0109"}


@pytest.mark.parametrize("data", [b"a\0b", b"\xed\xa0\x80", b"\xff"])
def test_what_is_no_character_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "small.dsv3"
    path.write_bytes(TABLE.format("HERE", "x").encode().replace(b"HERE", data))
    with pytest.raises(SpecError) as caught:
        produce(Selection(path))
    assert [fault.code for fault in caught.value.diagnostics] == ["E0103"]


#: Names that a checkpoint has for its tensors go where they are needed as they are.
NAMES = [text for text in TEXTS.values() if not set(text) & set("{}")]


@pytest.mark.parametrize("text", NAMES)
def test_a_released_name_is_a_text(text: str, tmp_path: Path) -> None:
    """model.py and model.onnx name the tensor as the checkpoint does, and nothing comes of it.

    A graph's names are shown as they are, so that none holds what cannot be seen: it is refused.
    """
    path = tmp_path / "small.dsv3"
    names = f'  names hf {{ table -> "{text}"  head -> "head" }}\n'
    table = TABLE.format("words", "words")
    path.write_text(table.replace("  config hf", f"{names}  config hf"), encoding="utf-8")
    found = produce(Selection(path), ["pytorch", "onnx", "checkpoint"])
    values: set[object] = set()
    for file in ("model.py", "checkpoint.py"):
        source = found.files[file]
        assert isinstance(source, bytes)
        assert not raw(source.decode())
        values |= {n.value for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Constant)}
    assert text in values
    refused = [fault.code for fault in found.refused]
    assert refused == (["E0905"] if raw(text) else [])
    if not refused:
        graph = onnx.load_from_string(found.files["model.onnx"])
        assert text in strings(graph)
        assert not any(map(raw, strings(graph)))
