"""lark's LALR(1) analysis of the grammar, kept as data beside it, so that no run repeats it.

The analysis takes a third of a second, reading its result a hundredth, and lark is imported for
the former alone.  The file says of which grammar it is; after a change of the grammar it is passed
over until it is written again, by

    python -m specgen.language.prebuilt
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from specgen.resources import folder

if TYPE_CHECKING:
    from lark.grammar import Rule, Symbol
    from lark.parsers.lalr_analysis import IntParseTable

STARTS: Final = ("start", "expr")
GRAMMAR: Final = "dsv3.lark"
PREBUILT: Final = "dsv3.tables.json"

#: What `analysed` gives and the file holds.
Tables = dict[str, Any]


def tables() -> Tables:
    """The tables of grammar/dsv3.lark."""
    grammar = folder("grammar") / GRAMMAR
    prebuilt = grammar.with_name(PREBUILT)
    text = grammar.read_text(encoding="utf-8")
    found: Tables = json.loads(prebuilt.read_text(encoding="utf-8")) if prebuilt.is_file() else {}
    return found if found.get("grammar") == digest(text) else analysed(text)


def digest(grammar: str) -> str:
    return hashlib.sha256(grammar.encode()).hexdigest()


def analysed(grammar: str) -> Tables:
    """What lark makes of a grammar, as plain data, the same for the same grammar.

    `terminals` are [name, text or pattern, whether it is a pattern], ignored ones left out.
    `states` lead from the name of a symbol to a state, or by -1 - n to a reduction by rule n.
    `rules` are as `rule_data` says.
    """
    from lark import Lark
    from lark.lexer import PatternStr
    from lark.parsers.lalr_analysis import Shift

    # No lexer is used; `basic` is the one that lark builds without an analysis of its own.
    found = Lark(grammar, parser="lalr", lexer="basic", start=list(STARTS), maybe_placeholders=True)
    terminals = [
        [terminal.name, terminal.pattern.value, False]
        if isinstance(terminal.pattern, PatternStr)
        else [terminal.name, terminal.pattern.to_regexp(), True]
        for terminal in found.terminals
        if terminal.name not in found.ignore_tokens
    ]
    rules = sorted(found.rules, key=lambda rule: (rule.origin.name, rule.order))
    numbers = {rule: number for number, rule in enumerate(rules)}
    table = found.parser.parser._parse_table
    order = numbered(table)
    states = [
        {
            name: order[target] if action is Shift else -1 - numbers[target]
            for name, (action, target) in sorted(table.states[state].items())
        }
        for state in order
    ]
    return {
        "grammar": digest(grammar),
        "starts": {name: order[table.start_states[name]] for name in STARTS},
        "ends": {name: order[table.end_states[name]] for name in STARTS},
        "terminals": sorted(terminals),
        "rules": [rule_data(rule) for rule in rules],
        "states": states,
    }


# ---- as text ---------------------------------------------------------------------------


def dumped(grammar: str) -> str:
    """The tables of a grammar as JSON: the same text for the same grammar, always."""
    lines = [f"{json.dumps(key)}: {compact(value)}" for key, value in analysed(grammar).items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def compact(value: object) -> str:
    """A list with a line for each item, so that a change of the grammar can be read in a diff."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(item, separators=(",", ":")) for item in value) + "\n]"
    return json.dumps(value)


def numbered(table: IntParseTable) -> dict[int, int]:
    """State of lark's -> number, in the order in which the start states lead to them."""
    from lark.parsers.lalr_analysis import Shift

    waiting = [table.start_states[name] for name in STARTS]
    order: dict[int, int] = {}
    for state in waiting:  # grows while it is read
        if state in order:
            continue
        order[state] = len(order)
        actions = table.states[state]
        waiting += [target for _, (action, target) in sorted(actions.items()) if action is Shift]
    return order


def rule_data(rule: Rule) -> list[Any]:
    """Origin, symbols, number, alias, whether it keeps all tokens, whether a single child stands
    for it, and which of its places are empty, with False for each symbol."""
    options = rule.options
    return [
        str(rule.origin.name),
        [symbol_data(symbol) for symbol in rule.expansion],
        rule.order,
        rule.alias,
        options.keep_all_tokens,
        options.expand1,
        list(options.empty_indices),
    ]


def symbol_data(symbol: Symbol) -> str:
    """A symbol's name; a terminal that is dropped from the tree is marked."""
    from lark.grammar import Terminal

    return f"-{symbol.name}" if isinstance(symbol, Terminal) and symbol.filter_out else symbol.name


def main() -> None:
    """Writes the file anew."""
    grammar: Path = folder("grammar") / GRAMMAR
    text = dumped(grammar.read_text(encoding="utf-8"))
    grammar.with_name(PREBUILT).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
