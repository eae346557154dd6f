"""Trees say what the text says, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from specgen.diagnostics.diagnostic import Diagnostics
from specgen.diagnostics.source import Source
from specgen.language import tree
from specgen.language.parser import parse, parse_expression
from specgen.resources import folder
from tests.language.nodes import dump, meaning, walk

HERE = Path(__file__).parent
CONSTRUCTS = HERE / "constructs.dsv3"
GOLDEN = HERE / "constructs.tree"
SPECS = sorted(folder("specs").rglob("*.dsv3"))
DAMAGED = sorted((HERE.parent / "errors" / "cases").glob("*.dsv3"))

Parsed = tuple[tree.FileSyntax | None, Diagnostics]


def parsed(path: Path) -> Parsed:
    diagnostics = Diagnostics()
    return parse(Source(path.name, path.read_text(encoding="utf-8")), diagnostics), diagnostics


def test_every_construct_becomes_the_expected_tree(accept: bool) -> None:
    file, diagnostics = parsed(CONSTRUCTS)
    assert file is not None
    assert diagnostics.all == ()
    text = "\n".join(dump(file)) + "\n"
    if accept:
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_released_specs_parse_without_a_word(path: Path) -> None:
    file, diagnostics = parsed(path)
    assert file is not None
    assert diagnostics.all == ()
    assert file.damaged == ()


@pytest.mark.parametrize("path", [CONSTRUCTS, *SPECS, *DAMAGED], ids=lambda path: path.stem)
def test_spans_nest(path: Path) -> None:
    file, _ = parsed(path)
    for node in walk(file) if file else ():
        for child in walk(node):
            if hasattr(node, "span"):
                assert child.span.source is node.span.source
                assert node.span.start <= child.span.start <= child.span.end <= node.span.end


@pytest.mark.parametrize("path", [CONSTRUCTS, *SPECS, *DAMAGED], ids=lambda path: path.stem)
def test_what_a_span_covers_reads_as_the_same_expression(path: Path) -> None:
    file, diagnostics = parsed(path)
    faults = [d.span.start for d in diagnostics.all if d.span]
    for node in walk(file) if file else ():
        if not isinstance(
            node,
            tree.OperationSyntax
            | tree.CallSyntax
            | tree.PathSyntax
            | tree.ListOfSyntax
            | tree.LiteralSyntax,
        ):
            continue
        if any(node.span.start <= fault <= node.span.end for fault in faults):
            continue  # read as what it was mended to
        again = Diagnostics()
        found = parse_expression(Source("again", node.span.text), None, again)
        assert again.all == (), node.span.text
        assert meaning(found) == meaning(node)


def test_an_expression_inside_a_text_has_its_place_in_the_file() -> None:
    file, _ = parsed(CONSTRUCTS)
    assert file is not None
    rename = file.modules[0].names[0].rows[0]
    span = rename.target_span
    start = span.start + span.text.index("{") + 1
    inner = type(span)(span.source, start, span.start + span.text.index("}"))
    found = parse_expression(span.source, inner, Diagnostics())
    assert isinstance(found, tree.OperationSyntax)
    assert found.span == inner
    assert (found.span.line, found.span.text) == (span.line, "i + 1")
    broken = Diagnostics()
    assert parse_expression(span.source, type(span)(span.source, start, start + 3), broken) is None
    assert [(d.code, d.span and d.span.start) for d in broken.all] == [("E0105", start + 3)]


def test_comments_are_kept_with_their_places() -> None:
    source = Source("x", '# one\nlanguage 1 # two\nmodule m "# not one" { }\n#')
    file = parse(source, Diagnostics())
    assert file is not None
    assert [span.text for span in file.comments] == ["# one", "# two", "#"]


@pytest.mark.parametrize("text", ["\ufefflanguage 1\r\nmodule m { }\r\n", "language\t1 module m{}"])
def test_marks_tabs_and_line_ends_do_not_matter(text: str) -> None:
    diagnostics = Diagnostics()
    file = parse(Source("x", text), diagnostics)
    assert diagnostics.all == ()
    assert file is not None
    assert [module.name for module in file.modules] == ["m"]


def test_words_of_types_are_names_elsewhere() -> None:
    text = "language 1 module m { params { size : size count : count = size real : f32 } }"
    diagnostics = Diagnostics()
    parse(Source("x", text), diagnostics)
    assert [(d.code, d.span and d.span.text) for d in diagnostics.all] == [("E0105", "f32")]
