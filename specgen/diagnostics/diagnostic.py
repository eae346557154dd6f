"""What specgen tells its users: one data model for every fault, whoever finds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from specgen.diagnostics.codes import CODES, Severity
from specgen.diagnostics.source import Span
from specgen.records import dataclass
from specgen.text.printable import safe

#: Faults after which a run stops, and names among which a meant one is looked for.
LIMIT: Final = 500
MANY: Final = 200


@dataclass(frozen=True, slots=True)
class Label:
    """A second place that helps to understand the first."""

    span: Span
    message: str


#: What is said at the place where a name got the meaning that another place gives it again.
FIRST: Final = "first here"


@dataclass(frozen=True, slots=True)
class Fix:
    """A replacement of text that would mend the fault."""

    span: Span
    replacement: str
    description: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One fault: a registered code, a message that stands alone, a place, a reason and a fix.

    `span` is None only for faults that have no place in a spec, such as an unreadable file.
    """

    code: str
    message: str
    span: Span | None = None
    labels: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    fixes: tuple[Fix, ...] = ()

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity

    @property
    def place(self) -> tuple[str, int, str]:
        """The key by which diagnostics are sorted."""
        if self.span is None:
            return ("", 0, self.code)
        return (self.span.source.name, self.span.start, self.code)


class SpecError(Exception):
    """The spec cannot be used; `diagnostics` says why, each with its place."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.diagnostics = tuple(diagnostics)

    def __str__(self) -> str:
        from specgen.diagnostics.text import render  # only where an error is shown

        return render(self.diagnostics)


class Diagnostics:
    """Collects the diagnostics of a run, without duplicates."""

    def __init__(self) -> None:
        self._found: dict[tuple[object, ...], Diagnostic] = {}

    def report(
        self,
        code: str,
        span: Span | None,
        *,
        labels: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str | None = None,
        fixes: Iterable[Fix] = (),
        **values: object,
    ) -> None:
        """Records a fault; `values` fill the message template of the code."""
        self.report_values(code, span, values, labels=labels, notes=notes, help=help, fixes=fixes)

    def report_values(
        self,
        code: str,
        span: Span | None,
        values: Mapping[str, object],
        *,
        labels: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str | None = None,
        fixes: Iterable[Fix] = (),
    ) -> None:
        """As `report`, the values for the template given as a mapping."""
        message = CODES[code].template.format(**values)
        self.add(Diagnostic(code, message, span, tuple(labels), tuple(notes), help, tuple(fixes)))

    def add(self, diagnostic: Diagnostic) -> None:
        """Records a fault that is not known yet.

        Raises:
            SpecError: there are so many that going on would help nobody.
        """
        span = diagnostic.span
        where = (span.source.name, span.start, span.end) if span else ()
        if len(self._found) > LIMIT:
            return
        self._found.setdefault((diagnostic.code, where, diagnostic.message), diagnostic)
        if len(self._found) == LIMIT:
            stop = Diagnostic("E0115", CODES["E0115"].template, span)
            self._found["E0115", where, stop.message] = stop
            raise SpecError(self.all)

    @property
    def all(self) -> tuple[Diagnostic, ...]:
        """Everything found so far, in order of place."""
        return tuple(sorted(self._found.values(), key=lambda d: d.place))

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        return tuple(d for d in self.all if d.severity == "error")

    def raise_errors(self) -> None:
        """Raises SpecError with everything found, if any of it is an error."""
        if self.errors:
            raise SpecError(self.all)


def suggestion(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was probably meant to be."""
    # Closeness costs a comparison with each: of very many, only those of about the same length.
    known = list(known)
    if len(known) > MANY:
        known = [word for word in known if abs(len(word) - len(name)) <= 1][:MANY]
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return close[0]
    return next((k for k in known if k.lower() == name.lower()), None)


class RequestError(ValueError):
    """What is asked for is at fault, and no table: the message says how, and what would do."""


class UnknownName(RequestError, KeyError):
    """There is nothing of the name that is asked for."""

    __str__ = Exception.__str__  # a KeyError's is quoted


def no_such(what: str, name: str, known: Iterable[str]) -> UnknownName:
    """That there is nothing of a name, with the one that was probably meant, or all that there are."""
    known = list(known)
    close = suggestion(name, known)
    hint = f"did you mean `{close}`?" if close else f"there are {', '.join(known)}"
    return UnknownName(f"there is no {what} `{name}`; {hint}")


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The help of a diagnostic about an unknown name, if one of the known ones is close."""
    close = suggestion(name, known)
    return f"did you mean `{safe(close)}`?" if close else None
