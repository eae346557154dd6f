"""The ranks of a layout as text, Markdown and JSON: who holds what, and how it adds up.

Knows answers; how they were found is `per_rank`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from specgen.analysis.quantities.ranks import RANK_QUANTITIES
from specgen.analysis.quantities.variables import VARIABLES
from specgen.questions.answers import list_unseen
from specgen.questions.ranks.layout import AXES, LayoutError
from specgen.questions.ranks.per_rank import FIGURES, Ranks
from specgen.questions.sheet import Sheet, to_markdown, to_text
from specgen.records import dataclass
from specgen.text import markdown
from specgen.text.json_text import json_text

#: Stretches of ranks or stages that a cell lists.
MAX_LISTED: Final = 6


def write_layout(found: Ranks) -> str:
    """The degrees, those of experts only where they are divided otherwise than other rows."""
    layout = found.layout
    usual = layout.expert == 1 and layout.expert_tensor == layout.tensor
    axes = [axis for axis in AXES if not (usual and axis.startswith("expert"))]
    degrees = ", ".join(f"{axis}={getattr(layout, axis)}" for axis in axes)
    return f"{degrees}: {layout.ranks:,} ranks"


def write_ranges(numbers: Sequence[range]) -> str:
    """Ranges as a reader writes them: 0-7, 16."""
    texts = [str(r.start) if len(r) == 1 else f"{r.start}-{r.stop - 1}" for r in numbers]
    more = len(texts) - MAX_LISTED
    return ", ".join(texts if more <= 0 else [*texts[:MAX_LISTED], f"and {more} more"])


def list_figures(found: Ranks) -> list[str]:
    """The figures that there are."""
    return [name for name in FIGURES if all(name in group.figures for group in found.groups)]


def make_group_sheet(found: Ranks) -> Sheet:
    """A line for the ranks that hold equally much, those with most memory first."""
    columns: dict[str, list[int | str]] = {
        "ranks": [write_ranges(group.ranks) for group in found.groups],
        "number": [group.count for group in found.groups],
        "stages": [write_ranges(group.stages) for group in found.groups],
        **{name: [group.figures[name] for group in found.groups] for name in list_figures(found)},
        "weights + cache": [group.memory for group in found.groups],
    }
    return Sheet(columns)


def make_replica_sheet(found: Ranks) -> Sheet:
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


def make_balance_sheet(found: Ranks) -> Sheet:
    rows = found.balances
    return Sheet(
        {
            "figure": [row.figure for row in rows],
            "all ranks": [row.ranks for row in rows],
            "held again": [row.replicas for row in rows],
            "whole": [row.whole for row in rows],
        }
    )


def list_remarks(found: Ranks) -> list[str]:
    lines = [f"{name} = {value:,}: {VARIABLES[name]}" for name, value in found.variables.items()]
    lines += list_unseen(found.program, ["cache_bytes"])
    if len(found.layers) > 1:
        lines.append(f"layers of the stages: {', '.join(map(str, found.layers))}")
    return lines


def write_text(found: Ranks) -> str:
    pieces = [f"{found.program.label}, {write_layout(found)}\n"]
    pieces += [
        to_text(sheet)
        for sheet in (make_group_sheet(found), make_replica_sheet(found), make_balance_sheet(found))
    ]
    pieces.append("with\n" + "".join(f"  {line}\n" for line in list_remarks(found)))
    return "\n".join(piece for piece in pieces if piece)


def write_markdown(found: Ranks) -> str:
    pieces = [
        f"# {markdown.quote(found.program.label)}\n",
        f"{markdown.quote(write_layout(found))}\n",
    ]
    pieces += [
        to_markdown(sheet)
        for sheet in (make_group_sheet(found), make_replica_sheet(found), make_balance_sheet(found))
    ]
    lines = [f"{markdown.item(markdown.quote(line))}\n" for line in list_remarks(found)]
    return "\n".join(piece for piece in (*pieces, "".join(lines)) if piece)


@dataclass(frozen=True, slots=True)
class RankAnswer:
    """What each rank of a layout holds."""

    found: Ranks

    @property
    def document(self) -> dict[str, Any]:
        """Everything that is said, as JSON has it; ranks as the first and the last of each stretch."""
        found = self.found
        layout = found.layout
        return {
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

    @property
    def sheet(self) -> Sheet:
        """A row for the ranks that hold equally much, those with most memory first."""
        table = make_group_sheet(self.found)
        return Sheet(table.columns, remarks=tuple(list_remarks(self.found)))

    def render(self, form: str) -> bytes:
        """The answer as text, Markdown or JSON.

        Raises:
            LayoutError: the format is another one.
        """
        match form:
            case "json":
                return json_text(self.document).encode()
            case "md":
                return write_markdown(self.found).encode()
            case "text":
                return write_text(self.found).encode()
        raise LayoutError(f"--parallel writes text, md, json, not {form}")
