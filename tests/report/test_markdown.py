"""Quoting for Markdown, judged by a parser that knows nothing of us: a text stays a text."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from specgen.text.markdown import code, item, line, quote, signed, table

parser = pytest.importorskip("markdown_it", reason="markdown-it-py comes with rich")

MARKDOWN = parser.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

HOSTILE = [
    "| a | b |", "`code`", "``` ```", "<script>alert(1)</script>", "<b onclick=x>", "<!-- -->",
    "[text](javascript:alert(1))", "![x](http://e.test/a.png)", "[ref]: http://e.test",
    "<http://e.test>", "http://e.test/x", "www.e.test", "mailto:a@e.test", "a@e.test", "@team",
    "# heading", "a\n# heading", "a\n\n- b", "- a", "+ a", "* a", "1. a", "1) a", "> a", "===",
    "---", "***", "a\r\nb", "a\u2028b", "a\x1b[31mb", "a\x00b", "\u202eevil", "&lt;b&gt;", "&#124;",
    "**b**", "_i_", "__b__", "~~s~~", "a_b_c", "$x$", "$$x$$", "{{ 7 * 7 }}", "{% raw %}", '"""',
    "\\", "\\\\|", "\\`", "a\\", "trailing  ", "\ttab", "|", "a|b", "`a`|`b`", "~~~", "#1", "[^1]",
    "![", "]", "[x]", "[ ] todo", ":smile:", "五、MoE (混合专家) 层", "×", "",
]  # fmt: skip


def texts(source: str) -> list[str]:
    """The texts of the inline elements of a document; fails where there is anything else."""
    found = []
    for token in MARKDOWN.parse(source):
        assert token.type not in ("html_block", "fence", "code_block", "hr"), source
        if token.type == "inline":
            for child in token.children or []:
                assert child.type in ("text", "text_special", "code_inline"), (child, source)
            found.append("".join(child.content for child in token.children or []))
    return found


hostile = st.one_of(
    st.text(),
    st.text(alphabet="|`<>[]()*_~#\\!&$:@{}-+=.0w/ \n\tah"),
    st.lists(st.sampled_from(HOSTILE), max_size=4).map(" ".join),
)


def with_examples(test: Callable[[str], None]) -> Callable[[str], None]:
    for text in HOSTILE:
        test = example(text)(test)
    return test


@with_examples
@given(hostile)
def test_quoted_text_is_text_wherever_it_stands(text: str) -> None:
    flat = line(text)
    expected = [flat] if flat else []
    assert [t for t in texts(f"## {quote(text)}\n") if t] == expected
    assert [t for t in texts(item(quote(text))) if t] == expected
    cells = texts("\n".join(table(("a", "b"), [(quote(text), "end")])))
    assert cells == ["a", "b", flat, "end"]


@with_examples
@given(hostile)
def test_code_is_a_span_or_text(text: str) -> None:
    cells = texts("\n".join(table(("a", "b"), [(code(text), "end")])))
    assert cells == ["a", "b", line(text), "end"]
    assert [t for t in texts(item(code(text))) if t] == [t for t in [line(text)] if t]


@with_examples
@given(hostile)
def test_nothing_is_left_for_other_readers_of_markdown(text: str) -> None:
    """Sites add links, mentions, mathematics and templates, which no common parser knows."""
    quoted = quote(text)
    bare = re.sub(r"\\.|&#\d+;|&\w+;", "", quoted)
    assert not re.search(r"[<>|`$@{}]|://|www\.|(?<!\w)_|_(?!\w)", bare), quoted
    assert "\n" not in quoted
    assert all(c.isprintable() for c in quoted)


def test_plain_texts_stay_readable() -> None:
    for text in ("n_layers - n_dense_layers", "1. Embedding", "五、MoE (混合专家) 层", "a: b, c"):
        assert quote(text) == text
        assert code(text) == f"`{text}`"


def test_items_do_not_open_lists() -> None:
    assert item("1. one") == "- 1\\. one"
    assert item("- one") == "- \\- one"
    assert item("one") == "- one"


def test_differences_have_signs() -> None:
    assert [signed(n) for n in (20_184_220_160, -14_848, 0)] == ["+20,184,220,160", "-14,848", "0"]
