"""The codes E08xx: counting what a table holds, naming them, and writing its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, error

COUNT_CODES: Final[Mapping[str, Code]] = {
    "E0801": error(
        "table cannot be counted",
        "`{spec}` cannot be counted: {reason}",
        """
        A size or a count has no value for these parameters, or a pattern over layers or experts
        is neither made of comparisons and remainders nor short enough to be counted one by one.
        wrong: ffn : wide    when layer * layer % 7 == 2    (with a million layers)
        right: ffn : wide    when layer % 7 == 3 or layer % 7 == 4
        """,
    ),
    "E0802": error(
        "configuration cannot be written",
        "`{key}` of the configuration cannot be written: {reason}",
        """
        The rows of a `config` section whose conditions hold write one value for each key, and
        a key that holds a value holds no further keys.
        wrong: config hf { 1 -> "a"  2 -> "a" }
        right: config hf { 1 -> "a" when flag  2 -> "a" when not flag }
        """,
    ),
    "E0804": error(
        "too many instances to list",
        "`{name}` stands for {count} tensors; more than {limit} are not listed one by one",
        """
        The folded table, every count and every formula take no longer for a trillion layers than
        for ten; only what lists each tensor by its name has to write them all.
        wrong: specgen params huge.dsv3 --expand
        right: specgen params huge.dsv3
        """,
    ),
    "E0803": error(
        "tensor cannot be named",
        "the name `{name}` cannot be written: {reason}",
        """
        An expression in braces in a `names` section has no value for one of the tensors that it
        names.
        wrong: names hf { layers -> "blocks.{12 / layer}" }    (there is a layer 0)
        right: names hf { layers -> "blocks.{layer + 1}" }
        """,
    ),
}
