"""What stands at the head of model.py: how it is used, and what it is made of, in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from specgen.analysis.quantities.ledger import Ledger
from specgen.analysis.table.instances import Instance, environment, root
from specgen.backends.pytorch.definitions import wrapped
from specgen.backends.pytorch.layout import WIDTH
from specgen.backends.pytorch.plan import ROOT_CLASS, FilePlan
from specgen.backends.pytorch.quoting import quote
from specgen.backends.pytorch.values import shape_text
from specgen.dtypes import DTYPES
from specgen.expr.evaluate import EvaluationError, evaluate_int
from specgen.ir.roots import is_language_model

#: Models with more parameters than this are best made without memory, which a checkpoint fills.
LARGE = 10**9

#: How the quantities at the head are said, where a table has them.
FIGURES = {
    "parameters": "{:,} parameters",
    "parameters_active": "{:,} of them active",
    "cache_bytes_per_token": "{:,} bytes of cache a token",
}


def header(plan: FilePlan, counts: Ledger, *, takes_cache: bool) -> list[str]:
    """The docstring of model.py without its quotes."""
    program, forward = plan.program, plan.program.model.forwards[0]
    quantities = {name: counts.quantities.get(name) for name in FIGURES}
    known = {name: q.value for name, q in quantities.items() if q is not None and q.value}
    if known.get("parameters_active") == known.get("parameters"):
        known.pop("parameters_active", None)
    figures = ", ".join(FIGURES[name].format(value) for name, value in known.items())
    dtype = DTYPES[program.activation_dtype].torch
    is_large = known.get("parameters", 0) > LARGE
    lines = [f"{quote(program.model.title or program.name)}.", ""]
    lines += [f"{figures}.", ""] if figures else []
    lines += [*tree(plan, counts), ""]
    if is_large:
        lines += [
            '    with torch.device("meta"):  # takes no memory',
            f"        model = Model(Config()).to(torch.{dtype})",
            '    model.to_empty(device="cpu")',
        ]
    else:
        lines.append("    model = Model(Config())  # with what a training begins with")
    lines.append("    model.load_checkpoint(path)  # safetensors in the released naming")
    if is_language_model(forward):
        lines.append(
            f"    logits = model(tokens)  # [B, S] -> {shape_text(forward.results[0].shape, {})}"
        )
    else:
        lines.append(f"    results = model({', '.join(arg.name for arg in forward.args)})")
    if takes_cache:
        lines += [
            "    cache = model.new_cache(batch, length)",
            "    logits = model(tokens, cache=cache)  # the prompt, then any number of tokens at a time",
        ]
    if is_large:
        training = "`Model(Config())` has what a training begins with: `reset_parameters`."
        lines += ["", f"Off the meta device {training}"]
    else:
        lines.append("")
    letters = "B sequences, S new tokens, T tokens in all, those in the cache among them."
    usual = ", ".join(plan.usual)
    return [
        *lines,
        f"Shapes: {letters}",
        *(wrapped(f"Everywhere {usual}.", WIDTH) if usual else []),
    ]


def tree(plan: FilePlan, counts: Ledger) -> list[str]:
    """The modules below the model, each with its class and the parameters in it."""
    total = counts.quantities["parameters"].value
    found = [(f"    {ROOT_CLASS}", "", f"{total:,}" if total else "")]
    found += branches(plan, counts, [root(plan.program)], 1)
    for row in counts.rows:
        if "." not in row.path and row.kind == "map":
            found.append((f"      {quote(row.path)}", "Linear", f"{row.elements:,}"))
    names, kinds, numbers = (max(map(len, column)) for column in zip(*found, strict=True))
    lines = [f"{name:{names}}  {kind:{kinds}}  {n:>{numbers}}".rstrip() for name, kind, n in found]
    return lines if max(map(len, lines)) <= WIDTH else []


def branches(
    plan: FilePlan, counts: Ledger, around: Sequence[Instance], depth: int
) -> Iterator[tuple[str, str, str]]:
    """Name, class and parameters of each part, alternatives of one name together."""
    places: dict[tuple[str, ...], list[Instance]] = {}
    for instance in around:
        for child in instance.children:
            places.setdefault(child.path, []).append(child)
    for path, place in places.items():
        prefix = ".".join(path) + "."
        own = [r for r in counts.rows if r.path.startswith(prefix) and r.kind != "scale"]
        total = sum(row.elements for row in own if row.shared is None)
        kind = " or ".join(dict.fromkeys(class_of(plan, instance) for instance in place))
        yield f"    {'  ' * depth}{quote(path[-1])}", kind, f"{total:,}" if total else ""
        yield from branches(plan, counts, place, depth + 1)


def class_of(plan: FilePlan, instance: Instance) -> str:
    """The class of a part's instances, with how many there are, if that is known."""
    part = instance.caller
    assert part is not None
    name = plan.class_names[plan.class_module[part.module]]
    if part.count is None:
        return name
    try:
        _, count = instance.indices[-1] if part.index else ("", instance.resolve(part.count))
        return f"{evaluate_int(count, environment(plan.program))} × {name}"
    except EvaluationError:
        return f"many {name}"
