"""Pictures of sweeps: the same bytes every time, names as text, clear errors."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest

from specgen.questions.plot import Picture, PlotError, draw_picture
from specgen.questions.sheet import MissingPackage

PICTURE = Picture(
    "a_table@$x^2$ <b>",
    {"T": [1, 2, 3, 1, 2, 3], "n": [1, 1, 1, 2, 2, 2], "cache_bytes": [1, 2, 3, 2, 4, 2**70]},
    ("T", "n"),
    {"cache_bytes": "bytes"},
)


def test_without_matplotlib_it_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackage, match=r"pip install 'specgen-llm\[plot\]'"):
        draw_picture(PICTURE, "svg")


@pytest.mark.slow
class TestWithMatplotlib:
    @pytest.fixture(autouse=True)
    def matplotlib(self) -> None:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")

    def test_the_same_bytes(self) -> None:
        assert draw_picture(PICTURE, "svg") == draw_picture(PICTURE, "svg")
        assert draw_picture(PICTURE, "png") == draw_picture(PICTURE, "png")

    def test_names_are_texts(self) -> None:
        root = ElementTree.fromstring(draw_picture(PICTURE, "svg"))
        texts = [
            "".join(e.itertext()).strip() for e in root.iter("{http://www.w3.org/2000/svg}text")
        ]
        assert "a_table@$x^2$ <b>" in texts
        assert {"T", "cache_bytes (bytes)", "n = 1", "n = 2"} <= set(texts)

    def test_front_and_bars(self) -> None:
        front = Picture(
            "t", {"a": [1, 2, 3], "b": [3, 2, 1]}, ("a",), {"b": "bytes"}, ("a", "b", (0, 1, 2))
        )
        assert b"Pareto front" in draw_picture(front, "svg")
        bars = Picture("t", {"c": ["x", "y"], "b": [3, None]}, ("c",), {"b": "bytes"})
        assert b">x<" in draw_picture(bars, "svg")

    @pytest.mark.parametrize(
        ("columns", "reason"),
        [
            ({"a": [], "b": []}, "no row to plot"),
            ({"a": [1] * 20_001, "b": [1] * 20_001}, "more than the 20,000"),
            ({"a": [str(i) for i in range(41)], "b": [1] * 41}, "without a number"),
        ],
    )
    def test_errors(self, columns: dict[str, list[object]], reason: str) -> None:
        with pytest.raises(PlotError, match=reason):
            draw_picture(Picture("t", columns, ("a",), {"b": "bytes"}), "svg")  # type: ignore[arg-type]
