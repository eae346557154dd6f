"""A report for a table that has none of its own: one section for each place of its tree.

Headings and labels are the table's own words for its parts and rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from specgen.analysis.quantities.ledger import Ledger
from specgen.analysis.table.instances import Instance, descend, root
from specgen.backends.report.words import Words, words
from specgen.ir.model import Report, ReportRow, ReportSection

#: The alternatives of one name, of which a table has one or, by a layer's index, several.
Place = Sequence[Instance]


def outline(ledger: Ledger, language: str) -> Report:
    """The tree of the table as a report: parts, and the parts of a repeated one, in order."""
    said = words(language)
    program = ledger.program
    paths = {row.path for row in ledger.rows if row.kind != "scale"}
    found: list[tuple[str, Sequence[ReportRow | ReportSection]]] = []
    for place in places([root(program)], paths):
        if is_repeated(place):
            own = own_rows(place)
            found += [(text_of(place), own)] if own else []
            found += [
                (f"{text_of(place)}: {text_of(inner)}", contents(inner, paths, said))
                for inner in places(place, paths)
            ]
        else:
            found.append((text_of(place), contents(place, paths, said)))
    for row in own_rows([root(program)]):
        text = next((t.description for t in program.model.tensors if t.name == row.path), None)
        found.append((f"{text or row.path} ({row.path})", (row,)))
    found.append((said.whole, counts(ledger)))
    sections = tuple(
        ReportSection(
            said.heading.format(number=number, text=text[:1].upper() + text[1:]), tuple(rows)
        )
        for number, (text, rows) in enumerate(found, 1)
        if rows
    )
    title = said.outline.format(title=program.title or program.name)
    return Report(language, title, sections)


def contents(place: Place, paths: set[str], said: Words) -> list[ReportRow | ReportSection]:
    """The rows of a place, a line for each part of rows only, a section for the other parts."""
    found: list[ReportRow | ReportSection] = list(own_rows(place))
    for inner in places(place, paths):
        if any(instance.children for instance in inner):
            found.append(ReportSection(text_of(inner), tuple(contents(inner, paths, said))))
        else:
            found += labelled(inner)
    if any(instance.module.forward for instance in place) and not is_repeated(place):
        found.append(ReportRow(said.output, "output", path_of(place)))
    return found


def places(around: Place, paths: set[str]) -> Iterator[Place]:
    """The parts around which rows stand, alternatives of one name together."""
    found: dict[str, list[Instance]] = {}
    for instance in around:
        for child in instance.children:
            found.setdefault(path_of([child]), []).append(child)
    for path, place in found.items():
        if any(row.startswith(f"{path}.") for row in paths):
            yield place


def own_rows(place: Place) -> list[ReportRow]:
    """The rows of the place's own modules; a bias stands below its map."""
    prefix = [*place[0].path]
    names = [t.name for i in place for t in i.module.tensors if "." not in t.name]
    return [ReportRow(None, "rows", ".".join([*prefix, name])) for name in dict.fromkeys(names)]


def labelled(place: Place) -> list[ReportRow]:
    """The rows of a part of rows only: what the part is, and where it has several, what each is."""
    label, rows = described(place) or path_of(place), own_rows(place)
    if len(rows) == 1:
        return [ReportRow(label, "rows", rows[0].path)]
    texts = {t.name: t.description or t.name for i in place for t in i.module.tensors}
    return [
        ReportRow(f"{label}: {texts[row.path.rpartition('.')[2]]}", "rows", row.path)
        for row in rows
    ]


def counts(ledger: Ledger) -> list[ReportRow]:
    """How often each repeated part stands there."""
    found: dict[tuple[str, ...], ReportRow] = {}
    for instance in descend(root(ledger.program)):
        if is_repeated([instance]):
            label = text_of([instance])
            found[instance.path] = ReportRow(label, "value", "", instance.indices[-1][1])
    return list(found.values())


def is_repeated(place: Place) -> bool:
    return any(i.caller is not None and i.caller.count is not None for i in place)


def path_of(place: Place) -> str:
    return ".".join(place[0].path)


def described(place: Place) -> str:
    """What the table says of the parts; alternatives one after the other."""
    texts = [i.caller.description for i in place if i.caller and i.caller.description]
    return "; ".join(dict.fromkeys(texts))


def text_of(place: Place) -> str:
    text = described(place)
    return f"{text} ({path_of(place)})" if text else path_of(place)
