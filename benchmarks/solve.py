"""What asking the other way round costs: each dimension from the totals, and a lattice.

A table is loaded and counted first; what is timed is the answer, with every table that is elaborated
to find or to confirm it.  CPU time, the median of the rounds.  Prints the table of benchmarks/README.md.

    python benchmarks/solve.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from specgen.huggingface.select import select  # noqa: E402
from specgen.questions.compare import complete_variables  # noqa: E402
from specgen.questions.lattice import search_lattice  # noqa: E402
from specgen.questions.points import make_axis  # noqa: E402
from specgen.questions.question import QuestionError, read_question  # noqa: E402
from specgen.questions.sensitivity import find_influences  # noqa: E402
from specgen.questions.session import WHOLE, Session  # noqa: E402
from specgen.questions.solve import solve_for  # noqa: E402

V3 = "deepseek_v3@v3_671b"
SPECS = (V3, "llama@llama3_70b")

#: Asked in this order: the first quantity that a dimension moves gives it back.
QUANTITIES = ("parameters", "parameters_active", "cache_bytes_per_token", "flops_prefill")

LATTICE = {
    "dim": range(4096, 9216, 64),
    "n_layers": range(40, 80),
    "n_routed_experts": range(64, 512, 8),
    "moe_inter_dim": range(1024, 2561, 512),
}


def timed(job: Callable[[Session], object], spec: str, rounds: int) -> float:
    """Seconds of CPU time, each round with a table that has only been loaded and counted."""
    found = []
    for _ in range(rounds):
        session = Session(select(spec))
        _ = session.base
        start = time.process_time()
        job(session)
        found.append(time.process_time() - start)
    return statistics.median(found)


def dimension(session: Session, name: str, quantity: str, values: Mapping[str, int]) -> None:
    own = values[quantity]
    found = solve_for(
        session, read_question(f"{quantity} == {own}", session), name, complete_variables({})
    )
    assert [answer.value for answer in found.exact] == [session.params[name]], name


def dimensions(spec: str) -> tuple[dict[str, str], list[str], dict[str, int]]:
    """Each dimension with the quantity that gives it back, those without, and the totals."""
    session = Session(select(spec))
    totals = {}
    for quantity in QUANTITIES:
        question = read_question(f"{quantity} == 0", session)
        totals[quantity] = int(
            solve_for(session, question, "n_layers", complete_variables({})).base.left
        )
    found: dict[str, str] = {}
    silent = []
    for name in (n for n, kind in session.kinds.items() if kind in WHOLE):
        for quantity in QUANTITIES:
            try:
                solve_for(
                    session,
                    read_question(f"{quantity} == 0", session),
                    name,
                    complete_variables({}),
                )
            except QuestionError:
                continue
            found[name] = quantity
            break
        else:
            silent.append(name)
    return found, silent, totals


def lattice(session: Session) -> None:
    axes = [make_axis(name, values) for name, values in LATTICE.items()]
    found = search_lattice(
        session, read_question("parameters == 671_026_419_200", session), axes, {}, 10
    )
    assert (found.size, found.found) == (716_800, 1)


def sensitive(session: Session) -> None:
    find_influences(session, "parameters", complete_variables({}), Fraction(1, 100))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("| asked | seconds (median) | wanted |\n|---|---:|---:|")
    for spec in SPECS:
        found, silent, totals = dimensions(spec)
        seconds = {
            name: timed(partial(dimension, name=name, quantity=q, values=totals), spec, rounds)
            for name, q in found.items()
        }
        worst = max(seconds, key=lambda name: seconds[name])
        middle = statistics.median(seconds.values())
        print(f"| a dimension of {spec}, median of {len(seconds)} | {middle:.3f} | 0.2 |")
        print(f"| the slowest, `{worst}` | {seconds[worst]:.3f} | 0.2 |")
        print(f"no quantity depends on {', '.join(silent)}", file=sys.stderr)
    print(f"| 716,800 points of a lattice | {timed(lattice, V3, rounds):.3f} | 1 |")
    print(f"| all elasticities of `parameters` | {timed(sensitive, V3, rounds):.3f} | |")


if __name__ == "__main__":
    main()
