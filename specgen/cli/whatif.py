"""Ask for every quantity of a changed table beside the base, or of many configurations at once."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from specgen.cli.arguments import Usage, add_format, add_spec, definition, selected
from specgen.cli.output import emit
from specgen.cli.output import remark as say
from specgen.diagnostics.diagnostic import suggestion
from specgen.frontend.selection import Selection

if TYPE_CHECKING:
    from specgen.analysis.quantities.ledger import Ledger
    from specgen.expr.evaluate import Value
    from specgen.expr.node import Expr
    from specgen.expr.simplify import Known
    from specgen.questions.session import Inquiry
    from specgen.questions.sweep import Progress

#: What a sweep shows where nobody says.
SHOWN: Final = (
    "parameters", "parameters_active", "stored_bytes", "cache_bytes_per_token", "flops_prefill",
    "flops_decode",
)  # fmt: skip

#: A sweep that takes longer says how far it is.
PATIENCE: Final = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    add_spec(parser)
    parser.add_argument(
        "--sweep",
        dest="sweeps",
        metavar="NAME=VALUES",
        action="append",
        default=[],
        type=definition,
        help="FROM:TO:STEP or a,b,c, for a parameter or a variable (B, S, T, W, ...); repeatable:"
        " all combinations",
    )
    parser.add_argument(
        "--where",
        metavar="EXPR",
        action="append",
        default=[],
        help="keep configurations where this holds, such as 'parameters < 700e9'; repeatable",
    )
    parser.add_argument(
        "--quantity",
        dest="quantities",
        metavar="NAME,...",
        help=f"quantities to show; `all` for all (default: all, of a sweep {', '.join(SHOWN)})",
    )
    parser.add_argument(
        "--pareto",
        metavar="A[:max],B[:max]",
        help="keep the configurations that no other beats in both; less is better, or more (:max)",
    )
    parser.add_argument(
        "--parallel",
        metavar="AXIS=RANKS,...",
        help="what each rank holds, the largest first, such as tensor=8,expert=8,pipeline=4,data=2",
    )
    parser.add_argument(
        "--stages", metavar="N,N,...", help="with --parallel: how many layers each stage has"
    )
    add_format(parser, "text", "md", "csv", "json", "parquet")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="write there")
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw the sweep as well: FILE.svg or FILE.png"
    )
    parser.add_argument(
        "--seconds", type=float, help="give up a sweep that takes longer (default: 120)"
    )


def run(arguments: argparse.Namespace) -> int:
    from specgen.expr.evaluate import EvaluationError
    from specgen.questions.forms import TooManyStructures
    from specgen.questions.plot import FORMATS, PlotError
    from specgen.questions.points import SweepError
    from specgen.questions.question import QuestionError
    from specgen.questions.sheet import MissingPackage

    if arguments.parallel is not None or arguments.stages is not None:
        return parallel(arguments)
    if not arguments.sweeps:
        for option in ("where", "pareto", "plot", "seconds"):
            if getattr(arguments, option):
                raise Usage(f"--{option} needs --sweep: it is about many configurations")
    if arguments.plot is not None and arguments.plot.suffix[1:] not in FORMATS:
        raise Usage(f"--plot writes FILE.{' or FILE.'.join(FORMATS)}, not `{arguments.plot.name}`")
    if arguments.format == "parquet" and arguments.output is None and sys.stdout.isatty():
        raise Usage("--format parquet is no text: give -o FILE, or send it to a file")
    try:
        data = swept(arguments) if arguments.sweeps else compared(arguments)
    except (SweepError, QuestionError, PlotError, MissingPackage, TooManyStructures) as error:
        raise Usage(str(error)) from None
    except EvaluationError as error:
        raise Usage(f"no value: {error}") from None
    return deliver(arguments, data)


def deliver(arguments: argparse.Namespace, data: bytes) -> int:
    """Writes an answer where it is asked for."""
    is_text = arguments.format != "parquet"
    if arguments.output is None:
        emit(data, is_text=is_text)
    else:
        save(arguments.output, data)
    return 0


def save(path: Path, data: bytes) -> None:
    from specgen.output.folder import replace_file

    try:
        replace_file(path, data)
    except OSError as error:
        raise Usage(f"cannot write {path}: {(error.strerror or 'refused').lower()}") from None


# ---- what is asked ---------------------------------------------------------------------


def chosen(arguments: argparse.Namespace) -> tuple[Selection, dict[str, str], dict[str, Value]]:
    """The table, the params that -D sets, and the variables that it sets."""
    from specgen.questions.points import value, variable
    from specgen.questions.variables import variables_of

    base = selected(arguments.spec, {}, arguments)
    model = base.opened().model
    known = variables_of(model)
    overrides: dict[str, str] = {}
    variables: dict[str, Value] = {}
    for name, text in arguments.defines:
        if name in known:
            variables[name] = variable(name, value(name, text, None, model))
        else:
            overrides[name] = text
    return base, overrides, variables


def asked(arguments: argparse.Namespace, default: Sequence[str]) -> tuple[str, ...]:
    from specgen.analysis.quantities.registry import QUANTITIES

    if arguments.quantities is None:
        return tuple(default)
    found: dict[str, None] = {}
    for name in arguments.quantities.split(","):
        if name.strip() == "all":
            found |= dict.fromkeys(QUANTITIES)
        else:
            found[known_quantity(name.strip())] = None
    return tuple(found)


def known_quantity(name: str, others: Sequence[str] = ()) -> str:
    from specgen.analysis.quantities.registry import QUANTITIES

    names = (*QUANTITIES, *others)
    if name not in names:
        close = suggestion(name, names)
        hint = f"did you mean `{close}`?" if close else f"there are {', '.join(names)}"
        raise Usage(f"there is no quantity `{name}`; {hint}")
    return name


# ---- ranks -----------------------------------------------------------------------------


def parallel(arguments: argparse.Namespace) -> int:
    """What each rank of a layout holds."""
    from specgen.analysis.quantities.ledger import ledger
    from specgen.expr.evaluate import EvaluationError
    from specgen.questions.compare import complete
    from specgen.questions.points import SweepError
    from specgen.questions.ranks.layout import LayoutError, read_layout
    from specgen.questions.ranks.listing import FORMATS
    from specgen.questions.ranks.per_rank import ranks

    if arguments.parallel is None:
        raise Usage("--stages needs --parallel: it is about the stages of a layout")
    for option in ("sweeps", "where", "quantities", "pareto", "plot", "seconds"):
        if getattr(arguments, option):
            raise Usage(f"--parallel lists ranks, and takes no --{option.rstrip('s')}")
    if arguments.format not in FORMATS:
        raise Usage(f"--parallel writes {', '.join(FORMATS)}, not {arguments.format}")
    try:
        layout = read_layout(arguments.parallel, arguments.stages)
        base, overrides, variables = chosen(arguments)
        found = ledger(base.changed(overrides).program())
        data = FORMATS[arguments.format](ranks(found, layout, complete(variables))).encode()
    except (LayoutError, SweepError) as error:
        raise Usage(str(error)) from None
    except EvaluationError as error:
        raise Usage(f"no value: {error}") from None
    return deliver(arguments, data)


# ---- one configuration -----------------------------------------------------------------


def compared(arguments: argparse.Namespace) -> bytes:
    """Every quantity of the changed table, beside the base where -D changes it."""
    from specgen.analysis.quantities.ledger import ledger
    from specgen.analysis.quantities.registry import QUANTITIES
    from specgen.diagnostics.diagnostic import SpecError
    from specgen.questions import compare
    from specgen.questions.answers import comparison

    quantities = asked(arguments, tuple(QUANTITIES))
    base, overrides, variables = chosen(arguments)
    changed = ledger(base.changed(overrides).program())
    before = None
    if overrides:
        try:
            before = ledger(base.program())
        except SpecError:
            before = None  # a param without a default: only the changed table exists
    found = compare.compare(changed, before, overrides, variables)
    return comparison(
        changed.program, found, quantities, used(changed, quantities), arguments.format
    )


# ---- many configurations ---------------------------------------------------------------


def swept(arguments: argparse.Namespace) -> bytes:
    """A row for each configuration that the table and the filters allow."""
    from specgen.expr.node import Sym
    from specgen.questions.answers import Answer, pareto, rendered
    from specgen.questions.compare import complete
    from specgen.questions.points import swept as axes_of
    from specgen.questions.session import Inquiry
    from specgen.questions.sweep import MAX_SECONDS, sweep

    base, overrides, variables = chosen(arguments)
    selection = base.changed(overrides)
    inquiry = Inquiry(selection)
    family = inquiry.family
    axes = axes_of(arguments.sweeps, family.loaded[1])
    names = tuple(axis.name for axis in axes)
    for name in names:
        if name in overrides or name in variables:
            raise Usage(f"`{name}` is both set by -D and swept")
    front = objectives(arguments.pareto, names) if arguments.pareto else ()
    wanted = asked(arguments, () if front else SHOWN)
    quantities = tuple(dict.fromkeys((*wanted, *(n for n, _ in front if n not in names))))
    where = filters(arguments.where, inquiry)
    everything: dict[str, Known] = {
        n: v for n, v in complete(variables).items() if n not in names and n not in family.settings
    }
    if "S" in names and "T" in everything and "T" not in variables:
        everything["T"] = Sym("S", "size")  # no token is in the cache before
    with Bar() as bar:
        seconds = MAX_SECONDS if arguments.seconds is None else arguments.seconds
        found = sweep(family, axes, quantities, where, everything, bar, seconds)
    answer = Answer(
        family.base.program,
        found,
        quantities,
        everything,
        used(family.base, quantities),
        tuple(arguments.where),
    )
    if front:
        answer = pareto(answer, front)
    if arguments.plot is not None:
        save(arguments.plot, answer.picture(arguments.plot.suffix[1:]))
    if arguments.format in ("csv", "parquet"):
        for remark in answer.remarks:
            say(f"specgen: {remark}")
    return rendered(answer, arguments.format)


class Bar:
    """How far a sweep is: on stderr, where that is a terminal, after a second."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown = False

    def __enter__(self) -> Progress:
        return self.update

    def __exit__(self, *_: object) -> None:
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def update(self, done: int, total: int) -> None:
        if not sys.stderr.isatty() or time.monotonic() - self.start < PATIENCE:
            return
        self.shown = True
        filled = 30 * done // total
        bar = "#" * filled + "." * (30 - filled)
        print(f"\r\x1b[K[{bar}] {done:,} of {total:,}", end="", file=sys.stderr, flush=True)


def objectives(text: str, axes: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    """The two columns of a Pareto front, and whether more is better."""
    found = []
    for item in text.split(","):
        name, _, way = item.strip().partition(":")
        if way not in ("", "min", "max"):
            raise Usage(f"`{item.strip()}`: write NAME, NAME:min or NAME:max")
        found.append((known_quantity(name, axes), way == "max"))
    if len(found) != 2 or found[0][0] == found[1][0]:
        raise Usage("--pareto takes two different columns, as in parameters:max,cache_bytes")
    return tuple(found)


def filters(texts: Sequence[str], inquiry: Inquiry) -> Expr:
    """The conditions of --where, all of them."""
    from specgen.expr.node import conjunction
    from specgen.questions.question import condition

    conditions = []
    for text in texts:
        found = condition(text, inquiry, "--where")
        if inquiry.scope.kind(found) not in ("flag", "unknown"):
            raise Usage(f"--where {text}: this is no condition; write one such as {text} < 1e9")
        conditions.append(found)
    return conjunction(*conditions)


def used(found: Ledger, quantities: Sequence[str]) -> tuple[str, ...]:
    """The variables that some of the quantities rest on."""
    return tuple(dict.fromkeys(v for name in quantities for v in found.quantities[name].variables))
