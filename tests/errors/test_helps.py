"""What a help says to write is written, and the fault it stands at goes away.

Other faults may come with it: a guess at a name is a guess, and a guarded use has no other side.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specgen.diagnostics.diagnostic import Diagnostic
from specgen.frontend.load import check_file
from tests.errors.test_cases import CASES, found

#: Helps that hold no text to put in, by how they begin, with the reason.
NOT_TO_WRITE = {
    "a row of `": "the form of such a row: what the row should say is not known",
    "a statement reads": "the form of a statement",
    "a report reads": "the form of a report",
    "the sections are": "names all there are: which one is meant is not known",
    "what is given once": "says what to use instead, and the table has no such thing yet",
    "call the new tokens by another name": "a name that is used throughout the table",
    "write an alternative for each count": "rows that only the table's author knows",
}
#: Helps that say how rows of a part are used: the call is a sketch with `...` for its arguments.
SKETCH = re.compile(r"^`\w+` is a part")

HEAD = re.compile(r"^[ \t]*(?:model|module)\s+\w+[^{}\n]*\{", re.MULTILINE)


def replaced(text: str, diagnostic: Diagnostic, by: str) -> str:
    assert diagnostic.span is not None
    return text[: diagnostic.span.start] + by + text[diagnostic.span.end :]


def guess(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    """The name that was meant, for the one that stands there."""
    assert diagnostic.span is not None
    there = diagnostic.span.text
    if there.startswith('"'):
        return replaced(text, diagnostic, f'"{words[0]}"')
    named = re.findall(r"`([^`]+)`", diagnostic.message)
    wrong = next((n for n in named if re.search(rf"\b{re.escape(n)}\b", there)), None)
    if wrong is None or there == wrong:
        return replaced(text, diagnostic, words[0])
    return replaced(text, diagnostic, re.sub(rf"\b{re.escape(wrong)}\b", words[0], there, count=1))


def section(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    """A section of the module or model that the fault is in."""
    assert diagnostic.span is not None
    head = [m for m in HEAD.finditer(text) if m.end() <= diagnostic.span.start][-1]
    return f"{text[: head.end()]} {words[0]} {text[head.end() :]}"


def first_line(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    lines = text.splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if line.strip() and not line.startswith("#"))
    return "".join([*lines[:at], f"{words[0]}\n", *lines[at + 1 :]])


def below_first_line(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    return re.sub(r"^(language 1[^\n]*\n)", rf"\1{words[0]}\n", text, count=1, flags=re.MULTILINE)


def condition(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    """The row with this condition in the place of its own."""
    assert diagnostic.span is not None
    row = re.sub(r"\s+when\s[^\"]*", "", diagnostic.span.text)
    return replaced(text, diagnostic, f"{row} {words[0]}")


def around(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    assert diagnostic.span is not None
    return replaced(text, diagnostic, words[0].replace("...", diagnostic.span.text))


def statement(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    """The statement of the fault within what it is to be guarded by."""
    assert diagnostic.span is not None
    start = text.rindex("\n", 0, diagnostic.span.start) + 1
    end = text.index("\n", diagnostic.span.end)
    line = text[start:end]
    return f"{text[:start]}{words[0].replace('...', line.strip())}{text[end:]}"


def argument(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    """The argument of that name, of another type."""
    name = words[0].partition(":")[0]
    return re.sub(rf"\b{name}\s*:\s*bool\s*\[[^\]]*\]", words[0], text)


def other_part(text: str, diagnostic: Diagnostic, words: list[str]) -> str:
    return replaced(text, diagnostic, words[0])


#: Where what a help says is put, by how it begins.
PLACES: dict[str, Callable[[str, Diagnostic, list[str]], str]] = {
    "did you mean": guess,
    "require {": section,
    "write `language": first_line,
    "std has it": below_first_line,
    "let it exist": condition,
    "`cast(": around,
    "guard the use": statement,
    "make it `mask": argument,
    "`layernorm(": other_part,
}


def words_of(help_: str) -> list[str]:
    """The texts in backquotes or quotes; the whole help where it is nothing else."""
    return re.findall(r"`([^`]+)`", help_) or re.findall(r'mean "([^"]+)"', help_) or [help_]


def followed(text: str, diagnostic: Diagnostic) -> str | None:
    """The text with what the help says; None where it holds nothing to write."""
    help_ = diagnostic.help or ""
    if SKETCH.match(help_) or any(help_.startswith(start) for start in NOT_TO_WRITE):
        return None
    place = next((place for start, place in PLACES.items() if help_.startswith(start)), None)
    assert place is not None, f"{diagnostic.code}: nobody knows where to write: {help_}"
    return place(text, diagnostic, words_of(help_))


def key(diagnostic: Diagnostic) -> tuple[str, str]:
    return diagnostic.code, diagnostic.message


HELPED = [path for path in CASES if any(d.help and not d.fixes for d in found(path))]


@pytest.mark.parametrize("path", HELPED, ids=lambda path: path.stem)
def test_what_a_help_says_makes_its_fault_go_away(path: Path, tmp_path: Path) -> None:
    mended = tmp_path / path.name
    for diagnostic in found(path):
        if not diagnostic.help or diagnostic.fixes:
            continue
        text = followed(path.read_text(encoding="utf-8"), diagnostic)
        if text is None:
            continue
        mended.write_text(text, encoding="utf-8")
        before = [key(d) for d in found(path)].count(key(diagnostic))
        after = [key(d) for d in check_file(mended).all].count(key(diagnostic))
        assert after < before, f"{diagnostic.help}\nleaves {diagnostic.message}\nin\n{text}"


def test_every_reason_is_of_a_help() -> None:
    helps = [d.help or "" for path in HELPED for d in found(path)]
    for start in (*NOT_TO_WRITE, *PLACES):
        assert any(help_.startswith(start) for help_ in helps), start


# ---- divisions: whatever is divided by whatever ----------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "n", "2", "3"])


def sizes(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return NAMES
    inner = sizes(depth - 1)
    return st.one_of(
        NAMES,
        st.tuples(inner, st.sampled_from(["+", "×", "%"]), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]})"
        ),
        st.tuples(inner, inner).map(lambda t: f"({t[0]} when big else {t[1]})"),
    )


DIVIDED = """language 1
model m "m" {{
  params {{ a : size = 4  b : size = 6  c : size = 3  n : size = 2  big : flag = true }}
  tensors {{ w : [{whole} / {part}, 2] }}
}}
"""


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(whole=sizes(2), part=sizes(1))
def test_what_is_required_makes_a_division_exact(tmp_path: Path, whole: str, part: str) -> None:
    path = tmp_path / "m.dsv3"
    text = DIVIDED.format(whole=whole, part=part)

    def divisions() -> list[Diagnostic]:
        path.write_text(text, encoding="utf-8")
        return [d for d in check_file(path).all if d.code == "E0435"]

    inexact = divisions()
    for _ in range(4):  # a division may be in each of several cases
        if not inexact:
            return
        fault = inexact[0]
        text = section(text, fault, [fault.help or ""])
        inexact = divisions()
        left = [d.message for d in inexact]
        assert fault.message not in left, f"{text}\n{left}"
