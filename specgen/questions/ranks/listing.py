"""The ranks of a layout as text, Markdown and JSON: who holds what, and how it adds up.

Knows answers; how they were found is `ranks`'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from specgen.analysis.quantities.ranks import RANK_QUANTITIES
from specgen.analysis.quantities.terms import VARIABLES
from specgen.questions.answers import unseen
from specgen.questions.ranks.layout import AXES
from specgen.questions.ranks.per_rank import FIGURES, Ranks
from specgen.questions.sheet import Sheet, to_markdown, to_text
from specgen.text import markdown
from specgen.text.json_text import json_text

#: Stretches of ranks or stages that a cell lists.
MAX_LISTED: Final = 6


def title(found: Ranks) -> str:
    return found.program.label


def layout_text(found: Ranks) -> str:
    """The degrees, those of experts only where they are divided otherwise than other rows."""
    layout = found.layout
    usual = layout.expert == 1 and layout.expert_tensor == layout.tensor
    axes = [axis for axis in AXES if not (usual and axis.startswith("expert"))]
    degrees = ", ".join(f"{axis}={getattr(layout, axis)}" for axis in axes)
    return f"{degrees}: {layout.ranks:,} ranks"


def stretches(numbers: Sequence[range]) -> str:
    """Ranges as a reader writes them: 0-7, 16."""
    texts = [str(r.start) if len(r) == 1 else f"{r.start}-{r.stop - 1}" for r in numbers]
    more = len(texts) - MAX_LISTED
    return ", ".join(texts if more <= 0 else [*texts[:MAX_LISTED], f"and {more} more"])


def shown(found: Ranks) -> list[str]:
    """The figures that there are."""
    return [name for name in FIGURES if all(name in group.figures for group in found.groups)]


def groups(found: Ranks) -> Sheet:
    """A line for the ranks that hold equally much, those with most memory first."""
    columns: dict[str, list[int | str]] = {
        "ranks": [stretches(group.ranks) for group in found.groups],
        "number": [group.count for group in found.groups],
        "stages": [stretches(group.stages) for group in found.groups],
        **{name: [group.figures[name] for group in found.groups] for name in shown(found)},
        "weights + cache": [group.memory for group in found.groups],
    }
    return Sheet(columns)


def replicas(found: Ranks) -> Sheet:
    """A line for each row of which ranks hold more than all of it."""
    rows = found.replicas
    return Sheet(
        {
            "held again": [row.name for row in rows],
            "figure": [row.figure for row in rows],
            "once": [row.whole for row in rows],
            "by data ranks": [row.data for row in rows],
            "by tensor ranks": [row.tensor for row in rows],
            "by stages": [row.pipeline for row in rows],
        }
    )


def balances(found: Ranks) -> Sheet:
    rows = found.balances
    return Sheet(
        {
            "figure": [row.figure for row in rows],
            "all ranks": [row.ranks for row in rows],
            "held again": [row.replicas for row in rows],
            "whole": [row.whole for row in rows],
        }
    )


def with_variables(found: Ranks) -> list[str]:
    lines = [f"{name} = {value:,}: {VARIABLES[name]}" for name, value in found.variables.items()]
    lines += unseen(found.program, ["cache_bytes"])
    if len(found.layers) > 1:
        lines.append(f"layers of the stages: {', '.join(map(str, found.layers))}")
    return lines


def as_text(found: Ranks) -> str:
    pieces = [f"{title(found)}, {layout_text(found)}\n"]
    pieces += [to_text(sheet) for sheet in (groups(found), replicas(found), balances(found))]
    pieces.append("with\n" + "".join(f"  {line}\n" for line in with_variables(found)))
    return "\n".join(piece for piece in pieces if piece)


def as_markdown(found: Ranks) -> str:
    pieces = [f"# {markdown.quote(title(found))}\n", f"{markdown.quote(layout_text(found))}\n"]
    pieces += [to_markdown(sheet) for sheet in (groups(found), replicas(found), balances(found))]
    lines = [f"{markdown.item(markdown.quote(line))}\n" for line in with_variables(found)]
    return "\n".join(piece for piece in (*pieces, "".join(lines)) if piece)


def as_json(found: Ranks) -> str:
    """One document; ranks as the first and the last of each stretch."""
    layout = found.layout
    document: dict[str, Any] = {
        "spec": found.program.name,
        "variant": found.program.variant,
        "layout": {
            **{axis: getattr(layout, axis) for axis in AXES},
            "ranks": layout.ranks,
            "stages": list(found.layers),
        },
        "variables": dict(found.variables),
        "conventions": {
            name.removeprefix("rank_"): record.convention["en"]
            for name, record in RANK_QUANTITIES.items()
        },
        "groups": [
            {
                "ranks": [[r.start, r.stop - 1] for r in group.ranks],
                "number": group.count,
                "stages": [stage for r in group.stages for stage in r],
                **group.figures,
                "memory_bytes": group.memory,
            }
            for group in found.groups
        ],
        "replicas": [
            {
                "row": row.name,
                "figure": row.figure,
                "once": row.whole,
                "data": row.data,
                "tensor": row.tensor,
                "pipeline": row.pipeline,
            }
            for row in found.replicas
        ],
        "reconciliation": {
            row.figure: {"ranks": row.ranks, "replicas": row.replicas, "whole": row.whole}
            for row in found.balances
        },
    }
    return json_text(document)


FORMATS: Final[Mapping[str, Callable[[Ranks], str]]] = {
    "text": as_text,
    "md": as_markdown,
    "json": as_json,
}
