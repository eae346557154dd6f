"""Ask for every quantity of a changed table beside the base, or of many configurations at once."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from specgen.cli.arguments import UsageError, add_format, add_spec, read_definition, select_asked
from specgen.cli.output import emit, remark

if TYPE_CHECKING:
    from specgen.questions.answers import ComparisonAnswer, SweepAnswer
    from specgen.questions.ranks.listing import RankAnswer
    from specgen.questions.sweep import Progress

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
        type=read_definition,
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
        help="quantities to show; `all` for all (default: all, of a sweep parameters,"
        " parameters_active, stored_bytes, cache_bytes_per_token, flops_prefill, flops_decode)",
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
    if arguments.format == "parquet" and arguments.output is None and sys.stdout.isatty():
        raise UsageError("--format parquet is no text: give -o FILE, or send it to a file")
    answer: ComparisonAnswer | SweepAnswer | RankAnswer
    if arguments.parallel is not None or arguments.stages is not None:
        answer = divide(arguments)
    else:
        answer = explore(arguments)
        if arguments.format in ("csv", "parquet"):
            for notice in answer.notices:
                remark(f"specgen: {notice}")
    data = answer.render(arguments.format)
    if arguments.output is None:
        emit(data, is_text=arguments.format != "parquet")
    else:
        save(arguments.output, data)
    return 0


def divide(arguments: argparse.Namespace) -> RankAnswer:
    """What each rank of a layout holds."""
    from specgen.questions.ask import divide_among_ranks

    if arguments.parallel is None:
        raise UsageError("--stages needs --parallel: it is about the stages of a layout")
    for option in ("sweeps", "where", "quantities", "pareto", "plot", "seconds"):
        if getattr(arguments, option):
            raise UsageError(f"--parallel lists ranks, and takes no --{option.rstrip('s')}")
    base, changes = select_asked(arguments.spec, arguments)
    return divide_among_ranks(base, arguments.parallel, arguments.stages, changes)


def explore(arguments: argparse.Namespace) -> ComparisonAnswer | SweepAnswer:
    """A changed table beside the base, or many configurations; and their picture."""
    from specgen.questions import ask
    from specgen.questions.answers import SweepAnswer
    from specgen.questions.plot import require_picture

    if arguments.plot is not None:
        require_picture(arguments.plot.name, arguments.sweeps)
    base, changes = select_asked(arguments.spec, arguments)
    with Bar() as bar:
        answer = ask.explore(
            base, changes, arguments.sweeps, where=arguments.where,
            quantities=arguments.quantities, pareto=arguments.pareto or (),
            seconds=arguments.seconds, progress=bar,
        )  # fmt: skip
    if arguments.plot is not None and isinstance(answer, SweepAnswer):
        save(arguments.plot, answer.picture(arguments.plot.suffix[1:]))
    return answer


def save(path: Path, data: bytes) -> None:
    from specgen.output.folder import replace_file

    try:
        replace_file(path, data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {(error.strerror or 'refused').lower()}") from None


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
