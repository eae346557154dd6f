"""`make fuzz`: many damaged tables, configurations and checkpoints, with a seed, on two processes.

Each input is given to commands in this process, with a limit on CPU time.  An input is a finding
where a command ends with status 3, takes longer, or accepts a table or a configuration whose count is
not that of the table unrolled one instance at a time (tests/analysis/unrolled.py).  Findings are written to FOUND,
and make the run fail.  The same seed makes the same inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from math import prod
from pathlib import Path
from random import Random
from typing import Any

from specgen.analysis.table.config import config
from specgen.cli.main import main
from specgen.diagnostics.diagnostic import SpecError
from specgen.frontend.load import load_program
from specgen.huggingface.select import select
from specgen.ir.model import Program
from tests.analysis.unrolled import unrolled
from tests.fuzz.bounds import Late, bounded
from tests.fuzz.generate import CASES, JUNK, SPECS, damaged, exchanged, nonsense

SECONDS = 5
FOUND = Path("build/fuzz")

#: Instances up to which a table is unrolled.
UNROLLED = 20_000

TABLES = [path for path in SPECS if path.parent.name != "std"]
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 10**30, 1.5, 1e308, float("inf"), "", "x", "null", [], [1],
    {}, {"type": "yarn"}, {"quant_method": "fp8", "modules_to_not_convert": ["lm_head"]},
    {"quant_method": "gptq", "bits": 4}, {"quant_method": []}, ["lm_head", "re:.*"], "\x1b[2J", "\u202e", [[[]]], "float16",
)  # fmt: skip


#: Names that a key may be given instead of its own.
NAMES: tuple[Callable[[str], str], ...] = (
    lambda key: key + "x", lambda _: "a.b", lambda _: "", lambda _: "quantization_config",
    lambda _: "modules_to_not_convert", lambda _: "ignored_layers",
)  # fmt: skip


# ---- inputs ----------------------------------------------------------------------------


def spec(random: Random) -> bytes:
    """A table with a slip, two tables joined in the middle, or nonsense; some damaged in bytes."""
    text = random.choice((*SPECS, *CASES)).read_text(encoding="utf-8")
    match random.randrange(6):
        case 0 | 1:
            text = damaged(text, random)
        case 2 | 3:
            text = exchanged(text, random)
        case 4:
            other = random.choice((*SPECS, *CASES)).read_text(encoding="utf-8").splitlines(True)
            lines = text.splitlines(True)
            text = "".join(
                lines[: random.randrange(len(lines) + 1)] + other[random.randrange(len(other)) :]
            )
        case _:
            text = nonsense(random)
    data = text.encode("utf-8", "replace")
    return torn(data, random) if random.random() < 0.15 else data


def torn(data: bytes, random: Random) -> bytes:
    """One to four bytes or stretches exchanged, doubled, left out or put in."""
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(data) + 1)
        stretch = data[place : place + random.choice((1, 4, 30))]
        junk = random.choice((*(text.encode("utf-8", "replace") for text in JUNK), b"\xff", b"\0"))
        match random.randrange(3):
            case 0:
                data = data[:place] + junk + data[place + len(stretch) :]
            case 1:
                data = data[:place] + stretch * 2 + data[place:]
            case _:
                data = data[:place] + data[place + len(stretch) :]
    return data


def configuration(random: Random, known: list[dict[str, Any]]) -> bytes:
    """A configuration that a table writes, with keys changed, renamed, doubled or left out."""
    found = json.loads(json.dumps(random.choice(known)))
    for _ in range(random.randint(1, 4)):
        place = found
        while True:
            keys = list(place)
            if not keys:
                break
            key = random.choice(keys)
            if isinstance(place[key], dict) and random.random() < 0.7:
                place = place[key]
                continue
            match random.randrange(4):
                case 0:
                    place[key] = random.choice(VALUES)
                case 1:
                    del place[key]
                case 2:
                    place[random.choice(NAMES)(key)] = place[key]
                case _:
                    other = random.choice(
                        random.choice(known) and list(random.choice(known).items())
                    )
                    place[other[0]] = other[1]
            break
    data = json.dumps(found).encode()
    return torn(data, random) if random.random() < 0.3 else data


def checkpoint(random: Random, folder: Path) -> None:
    """A small checkpoint: a header with offsets, shapes and names that are wrong, an index, or not."""
    header: dict[str, Any] = {}
    place = 0
    for number in range(random.randint(1, 5)):
        shape = [random.choice((0, 1, 2, 3)) for _ in range(random.randrange(4))]
        size = 4 * prod(shape)
        header[f"layers.{number}.w"] = {
            "dtype": "F32", "shape": shape, "data_offsets": [place, place + size],
        }  # fmt: skip
        place += size
    for _ in range(random.randrange(3)):
        entry = random.choice(list(header.values()))
        key = random.choice(list(entry) or ["dtype"])
        match random.randrange(4):
            case 0:
                entry[key] = random.choice(VALUES)
            case 1:
                entry.pop(key, None)
            case 2 if isinstance(entry.get(key), list) and entry[key]:
                entry[key][random.randrange(len(entry[key]))] = random.choice(VALUES)
            case _:
                header[random.choice(("__metadata__", "", "\x1b", "a" * 1000))] = entry
    text = json.dumps(header).encode()
    if random.random() < 0.3:
        text = torn(text, random)
    length = random.choice((len(text),) * 5 + (0, 2**40, len(text) - 1))
    data = max(length, 0).to_bytes(8, "little") + text + bytes(place)
    if random.random() < 0.2:
        data = data[: random.randrange(len(data))]
    names = random.choice((["model.safetensors"], ["a.safetensors", "b.safetensors"]))
    for name in names:
        (folder / name).write_bytes(data)
    if random.random() < 0.4:
        index = {
            "weight_map": {
                key: random.choice((*names, "../x.safetensors", None, 5)) for key in header
            }
        }
        text = json.dumps(random.choice((index, index, {}, []))).encode()
        (folder / "model.safetensors.index.json").write_bytes(
            torn(text, random) if random.random() < 0.3 else text
        )


# ---- runs ------------------------------------------------------------------------------


def status(*arguments: str | Path) -> tuple[int, str]:
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        bounded(SECONDS, of_cpu=True),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        found = main([str(argument) for argument in arguments])
    err.seek(0)
    return found, err.read()


def fault(work: Callable[[], str | None]) -> str | None:
    """What is wrong with an input; None where nothing is."""
    try:
        return work()
    except Late as error:
        return f"{error}\n{traceback.format_exc(limit=-12)}"
    except SystemExit as end:
        return None if end.code in (0, 1, 2) else f"exit {end.code}"
    except Exception:
        return traceback.format_exc(limit=-12)


def on_spec(path: Path) -> str | None:
    checked, said = status("check", path)
    if checked == 3:
        return f"check: {said}"
    answered, said = status("params", path, "--format", "json")
    if answered == 3:
        return f"params: {said}"
    return miscounted(lambda: load_program(path, None, {})) if answered == 0 else None


def miscounted(load: Callable[[], Program]) -> str | None:
    """Where the count of an accepted table is not that of its tensors, one by one."""
    from specgen.analysis.quantities.ledger import ledger

    with bounded(SECONDS, of_cpu=True):
        try:
            program = load()
            found = ledger(program)
        except SpecError as error:
            return f"params accepts what a program is not: {error}"
        if program.stored_otherwise and "stored_bytes" in {
            name for name, one in found.quantities.items() if one.value is not None
        }:
            return "what a release stores otherwise has a figure"
        stored = sum(tensor.instances for tensor in found.stored)
        modules = (program.model, *program.modules.values())
        if any(row.shared == "copy" for module in modules for row in module.tensors):
            return None  # unrolled, copies are there; as parameters they are not
        if stored > UNROLLED:
            return None
        counted = found.quantities["parameters"].value
        rows = list(unrolled(program))
    total = sum(prod(shape) for _, shape, _ in rows)
    return None if counted == total else f"parameters are {counted}, one by one {total}"


def on_configuration(path: Path) -> str | None:
    ended, said = status("import", path)
    if ended == 3:
        return f"import: {said}"
    return miscounted(lambda: select(str(path)).program()) if ended == 0 else None


def on_checkpoint(folder: Path) -> str | None:
    ended, said = status(
        "build", "llama@llama32_1b", "--checkpoint", folder, "--target", "onnx", "--check"
    )
    return f"build --checkpoint: {said}" if ended == 3 else None


def written_configurations() -> list[dict[str, Any]]:
    """What each shipped table writes, for its defaults."""
    found = []
    for path in TABLES:
        for program in select(str(path)).programs():
            if "hf" in program.configs:
                found += [config(program, "hf")]
    return found


def work(kind: str, seed: str, numbers: range, results: Any) -> None:
    """One process: its inputs of one kind, by their numbers."""
    os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="specgen-fuzz-")
    known = written_configurations() if kind == "config" else []
    with tempfile.TemporaryDirectory(prefix="specgen-fuzz-") as name:
        for number in numbers:
            random = Random(f"{seed} {kind} {number}")
            folder = Path(name, str(number))
            folder.mkdir()
            if kind == "checkpoint":
                checkpoint(random, folder)
                said = fault(lambda folder=folder: on_checkpoint(folder))  # type: ignore[misc]
            else:
                path = folder / ("m.dsv3" if kind == "spec" else "config.json")
                path.write_bytes(spec(random) if kind == "spec" else configuration(random, known))
                run = on_spec if kind == "spec" else on_configuration
                said = fault(lambda run=run, path=path: run(path))  # type: ignore[misc]
            if said is not None:
                kept = FOUND / f"{kind}-{number}"
                kept.mkdir(parents=True, exist_ok=True)
                for file in folder.iterdir():
                    (kept / file.name).write_bytes(file.read_bytes())
                (kept / "said.txt").write_text(said, encoding="utf-8", errors="replace")
            for file in folder.iterdir():
                file.unlink()
            results.put((kind, number, said))


def campaign(counts: dict[str, int], seed: str, processes: int) -> int:
    """All inputs; the number of findings."""
    results: Any = multiprocessing.Queue()
    findings = 0
    for kind, count in counts.items():
        workers = [
            multiprocessing.Process(
                target=work, args=(kind, seed, range(i, count, processes), results)
            )
            for i in range(processes)
        ]
        for worker in workers:
            worker.start()
        bad = 0
        for _ in range(count):
            _, number, said = results.get()
            if said is not None:
                bad += 1
                print(f"{kind} {number}: {said.strip().splitlines()[-1][:200]!r}")
        for worker in workers:
            worker.join()
        print(f"{count:,} of {kind}, seed {seed}: {bad} findings")
        findings += bad
    return findings


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, count in (("specs", 20_000), ("configs", 3_000), ("checkpoints", 1_500)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    wanted = {"spec": given.specs, "config": given.configs, "checkpoint": given.checkpoints}
    sys.exit(1 if campaign(wanted, given.seed, given.processes) else 0)
