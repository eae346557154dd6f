"""Sweeps as pictures, by matplotlib: quantities over a swept name, or a Pareto front.

The same bytes for the same sweep.  Names enter as text, never as mathematics or markup.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence, Sized
from typing import Any, Final

from specgen.diagnostics.diagnostic import RequestError
from specgen.expr.evaluate import Value, describe
from specgen.questions.sheet import MissingPackage
from specgen.records import dataclass
from specgen.version import DISTRIBUTION

FORMATS: Final = ("svg", "png")

#: Panels of one picture, and lines of one panel: more cannot be told apart.
MAX_PANELS: Final = 6
MAX_LINES: Final = 10

#: Points of one picture: an SVG has an element for each.
MAX_MARKS: Final = 20_000

#: Colours that can be told apart by everybody (Okabe and Ito), and a shape for each.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")


class PlotError(RequestError):
    """There is nothing that can be plotted; the message says why and what to ask for."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What to draw: `axes` are the swept names, `quantities` with their units what came out; of a
    Pareto front its two columns and the positions of its rows."""

    title: str
    columns: Mapping[str, Sequence[Value]]
    axes: tuple[str, ...]
    quantities: Mapping[str, str]
    front: tuple[str, str, tuple[int, ...]] | None = None


def require_picture(name: str, sweeps: Sized) -> None:
    """Refuses what cannot be drawn, before anything is computed.

    Raises:
        PlotError: the file is of another format, or there is no sweep.
    """
    if not sweeps:
        raise PlotError("--plot needs --sweep: it is about many configurations")
    if name.rpartition(".")[2] not in FORMATS:
        raise PlotError(f"--plot writes FILE.{' or FILE.'.join(FORMATS)}, not `{name}`")


def draw_picture(picture: Picture, form: str) -> bytes:
    """The picture as SVG or PNG.

    Raises:
        MissingPackage: matplotlib is not installed.
        PlotError: no rows, too many, or no numbers to plot over.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingPackage(
            f"--plot needs matplotlib: pip install '{DISTRIBUTION}[plot]'"
        ) from None
    rows = len(next(iter(picture.columns.values()), ()))
    if not rows:
        raise PlotError("there is no row to plot")
    if rows > MAX_MARKS:
        raise PlotError(f"{rows:,} rows are more than the {MAX_MARKS:,} that one picture can show")
    settings: dict[Any, Any] = {"svg.hashsalt": "specgen", "svg.fonttype": "none", "font.size": 10}
    with mpl.rc_context(settings):
        panels = 1 if picture.front else len(picture.quantities)
        if panels > MAX_PANELS:
            raise PlotError(f"{panels} quantities are more than {MAX_PANELS}: choose by --quantity")
        columns = 1 if panels == 1 else 2
        height = -(-panels // columns)
        figure = Figure(figsize=(6.4 * columns, 4.2 * height + 0.4), layout="constrained", dpi=144)
        figure.suptitle(picture.title, parse_math=False)
        grid = figure.subplots(height, columns, squeeze=False).flatten()
        for unused in grid[panels:]:
            unused.remove()
        if picture.front is not None:
            draw_front(grid[0], picture, picture.front)
        else:
            for panel, (name, unit) in zip(grid, picture.quantities.items(), strict=False):
                draw_lines(panel, picture, name, unit)
        stream = io.BytesIO()
        metadata = {"Date": None, "Creator": None} if form == "svg" else {"Software": None}
        figure.savefig(stream, format=form, metadata=metadata)
    return stream.getvalue()


def read_numbers(column: Sequence[Value]) -> list[float] | None:
    """The column as numbers to draw; None where it has others."""
    found = []
    for value in column:
        if value is None:
            found.append(float("nan"))
        elif isinstance(value, bool | str | tuple):
            return None
        else:
            found.append(float(value))
    return found


def draw_lines(panel: Any, picture: Picture, name: str, unit: str) -> None:
    """A quantity over the first swept name that has numbers; a line for each of the others'
    values."""
    over = next((a for a in picture.axes if read_numbers(picture.columns[a]) is not None), None)
    if over is None:
        draw_bars(panel, picture, name, unit)
        return
    others = [axis for axis in picture.axes if axis != over]
    at, values = read_numbers(picture.columns[over]), read_numbers(picture.columns[name])
    assert at is not None
    assert values is not None
    lines: dict[str, list[tuple[float, float]]] = {}
    for i, (x, y) in enumerate(zip(at, values, strict=True)):
        label = ", ".join(f"{o} = {write_word(picture.columns[o][i])}" for o in others)
        lines.setdefault(label, []).append((x, y))
    if len(lines) > MAX_LINES:
        panel.plot(at, values, ".", color=COLOURS[0], markersize=4)
        note = f"a point for each of {len(values):,} configurations"
        panel.set_title(note, fontsize=9, parse_math=False)
    else:
        for i, (label, points) in enumerate(lines.items()):
            points.sort()
            marks = (
                {"marker": MARKERS[i % len(MARKERS)], "markersize": 4} if len(points) < 60 else {}
            )
            panel.plot(
                *zip(*points, strict=True),
                color=COLOURS[i % len(COLOURS)],
                linestyle="-" if i < len(COLOURS) else "--",
                label=label.replace("$", r"\$"),
                **marks,
            )
        if others:
            panel.legend(fontsize=8)
    dress_panel(panel, over, f"{name} ({unit})")


def draw_bars(panel: Any, picture: Picture, name: str, unit: str) -> None:
    """A quantity for each configuration, where no swept name has numbers."""
    labels = [
        "\n".join(write_word(picture.columns[axis][i]) for axis in picture.axes)
        for i in range(len(picture.columns[name]))
    ]
    if len(labels) > 4 * MAX_LINES:
        raise PlotError(f"{len(labels):,} configurations without a number to plot them over")
    dress_panel(panel, ", ".join(picture.axes), f"{name} ({unit})")
    panel.grid(False, axis="x")
    panel.bar(range(len(labels)), read_numbers(picture.columns[name]), color=COLOURS[0])
    panel.set_xticks(range(len(labels)), labels, parse_math=False, fontsize=8)


def write_word(value: Value) -> str:
    return value if isinstance(value, str) else describe(value)


def draw_front(panel: Any, picture: Picture, front: tuple[str, str, tuple[int, ...]]) -> None:
    first, second, chosen = front
    a, b = read_numbers(picture.columns[first]), read_numbers(picture.columns[second])
    if a is None or b is None:
        raise PlotError(f"`{first if a is None else second}` has no numbers to plot")
    panel.plot(a, b, ".", color="#999999", markersize=5, label="every configuration")
    panel.plot(
        [a[i] for i in chosen], [b[i] for i in chosen],
        "o-", color=COLOURS[1], markersize=5, label="Pareto front",
    )  # fmt: skip
    panel.legend(fontsize=8)
    units = picture.quantities
    dress_panel(
        panel,
        *(f"{name} ({units[name]})" if name in units else name for name in (first, second)),
    )


def dress_panel(panel: Any, across: str, up: str) -> None:
    from matplotlib.ticker import EngFormatter

    panel.set_xlabel(across, parse_math=False)
    panel.set_ylabel(up, parse_math=False, labelpad=10)
    panel.xaxis.set_major_formatter(EngFormatter(sep=" "))
    panel.yaxis.set_major_formatter(EngFormatter(sep=" "))
    panel.grid(True, color="#dddddd", linewidth=0.6)
    panel.set_axisbelow(True)
