"""The entry: finds the command, runs it, and turns what comes out into an exit status.

Exit status: 0 fine; 1 diagnostics, drift or mismatch; 2 usage; 3 a fault of specgen itself.
Commands are imported when they are given, since each pays for what it uses.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NoReturn, Protocol, cast

from specgen.cli.arguments import add_diagnostics_option
from specgen.diagnostics.diagnostic import RequestError, SpecError, suggestion
from specgen.language.nesting import nesting
from specgen.text.printable import safe, safe_lines
from specgen.version import __version__

#: Name -> what it does; the module of the same name implements it, or that of `MODULES`.
COMMANDS: Final[Mapping[str, str]] = {
    "build": "write PyTorch, ONNX, reports and formulas",
    "check": "find the faults of a table, all of them in one run",
    "explain": "say what a diagnostic's code means, with an example",
    "params": "print the table of tensors and the exact counts",
    "formula": "print the closed form of a quantity",
    "ir": "print the typed program that back ends read",
    "solve": "ask the other way round: which parameters give a figure, exactly",
    "sensitivity": "print how a quantity moves with each parameter, sorted",
    "whatif": "every quantity of a changed table, or of many configurations",
    "diff": "print what differs between two tables, row by row",
    "verify": "hold a checkpoint or a config.json against a table, by headers alone",
    "import": "read a released config.json: its table, its variant, its counts",
}

#: Commands whose name no module can have.
MODULES: Final[Mapping[str, str]] = {"import": "importing"}

DEBUG: Final = "SPECGEN_DEBUG"


class Parser(argparse.ArgumentParser):
    """Of command lines; what is said of their faults holds nothing raw."""

    def error(self, message: str) -> NoReturn:
        super().error(safe_lines(message))


class Command(Protocol):
    """What the module of a command offers."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declares the arguments."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Does it; returns the exit status."""


def entry() -> NoReturn:
    """The console script."""
    own_outputs()
    gc.disable()  # the process ends soon, and looking for cycles takes a fifth of a build's time
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Runs a command line; returns the exit status.

    Raises:
        SystemExit: after usage errors and help, as argparse does.
    """
    try:
        status = dispatch(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        discard_output()
        return 0
    except OSError as error:  # the disk behind it is full, or fails
        discard_output()
        reason = (error.strerror or str(error)).lower()
        print(f"specgen: cannot write the output: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def own_outputs() -> None:
    """Gives a process whose stdout or stderr is closed one that leads nowhere.

    Else the next file that is opened gets the free number, and what is printed goes there.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def discard_output() -> None:
    """Python flushes stdout once more on its way out: into nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def is_of_output(error: Exception) -> bool:
    """Whether an error is that of stdout, which takes nothing any more."""
    from specgen.cli.output import STDOUT

    return isinstance(error, OSError) and error.filename == STDOUT


def dispatch(argv: Sequence[str]) -> int:
    if not argv:
        print(write_overview(), file=sys.stderr)
        return 2
    if argv[0] in ("-h", "--help", "help"):
        print(write_overview())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"specgen {__version__}")
        return 0
    name = argv[0]
    if name not in COMMANDS:
        close = suggestion(name, COMMANDS)
        hint = f"; did you mean `{close}`?" if close else ""
        said = f"specgen: there is no command `{safe(name)}`{hint}\n\n{write_overview()}"
        print(said, file=sys.stderr)
        return 2
    try:
        with nesting():
            return run(name, argv[1:])
    except BrokenPipeError:
        raise
    except Exception as error:
        if is_of_output(error):
            raise
        return report_fault(error)


def run(name: str, argv: Sequence[str]) -> int:
    """Runs one command; what is at fault in the command line or the tables is shown."""
    command = cast("Command", import_module(f"specgen.cli.{MODULES.get(name, name)}"))
    parser = Parser(f"specgen {name}", description=command.__doc__, allow_abbrev=False)
    add_diagnostics_option(parser)
    command.configure(parser)
    arguments = parser.parse_intermixed_args(argv)
    try:
        return command.run(arguments)
    except RequestError as error:
        parser.error(str(error))
    except SpecError as error:
        from specgen.cli.output import show

        show(error.diagnostics, arguments.diagnostics)
        return 1


def report_fault(error: Exception) -> int:
    """Says that specgen is at fault, and how to report it."""
    if os.environ.get(DEBUG) == "1":
        import traceback

        traceback.print_exception(error)
    print(
        f"specgen {__version__}: internal error: {error!r}\n"
        "This is a fault of specgen, not of your table. Please report it with the table, the\n"
        f"command, and what the command prints with {DEBUG}=1 set.",
        file=sys.stderr,
    )
    return 3


def write_overview() -> str:
    """The help of specgen as a whole."""
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: specgen COMMAND ...\n\n"
        "Compiles LLM architecture tables to PyTorch, ONNX, reports and exact counts.\n\n"
        f"commands:\n{commands}\n\n"
        "A table is given as FILE or FILE@VARIANT; or by its name alone (NAME or NAME@VARIANT),\n"
        "which is looked for in the working folder, in specs/ there and above, in the folders of\n"
        "SPECGEN_PATH, and among those shipped. `specgen COMMAND --help` says more.\n"
    ).rstrip()
