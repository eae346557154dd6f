"""Random bodies of forwards and functions: a pool of values that grows by steps, all of them used."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from tests.fuzz.programs import steps
from tests.fuzz.programs.values import MAX_ELEMENTS, PARAMS, REST, Dims, Value, axes, elements

#: Steps whose result is no greater than their operands; that of others is brought back.
SAFE = {
    steps.where, steps.take, steps.gather, steps.slice_, steps.concat, steps.permute,
    steps.unfold, steps.repeat, steps.softmax, steps.logic, steps.compare, steps.count,
    steps.whole,
}  # fmt: skip

#: Steps that know how many axes a value has; others take any leading ones.
RANKED = {
    steps.softmax, steps.reduce, steps.take, steps.gather, steps.slice_, steps.concat,
    steps.permute, steps.unfold, steps.repeat, steps.einsum, steps.count,
}  # fmt: skip


@dataclass
class Rows:
    """The tensor rows of a module, declared as its bodies come to need them."""

    random: Random
    index: str | None  # a param that tells instances apart
    lines: dict[str, str] = field(default_factory=dict)
    arrays: dict[Dims, list[str]] = field(default_factory=dict)
    maps: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    only_vectors: bool = False  # so that instances can be stacked

    def copy(self) -> Rows:
        """The rows as they are now, to go back to."""
        return replace(
            self,
            lines=dict(self.lines),
            arrays={dims: list(names) for dims, names in self.arrays.items()},
            maps={ends: list(names) for ends, names in self.maps.items()},
        )

    def restore(self, before: Rows) -> None:
        self.lines, self.arrays, self.maps = before.lines, before.arrays, before.maps

    def forget(self, before: Rows, text: str) -> None:
        """Drops rows that are new and that a text does not read."""
        for name in set(self.lines) - set(before.lines):
            if not re.search(rf"\b{name.partition('.')[0]}\b", text):
                del self.lines[name]
                for known in (*self.arrays.values(), *self.maps.values()):
                    known[:] = [other for other in known if other != name]

    def array(self, dims: Dims) -> Value | None:
        if self.only_vectors and len(dims) > 1:
            return None
        known = self.arrays.setdefault(dims, [])
        if not known or self.random.random() < 0.5:
            known.append(f"a{len(self.lines)}")
            self.lines[known[-1]] = f"{known[-1]} : [{', '.join(dims)}]"
        return Value(self.random.choice(known), "", dims)

    def map(self, into: str, out: str) -> str:
        known = self.maps.setdefault((into, out), [])
        if known and self.random.random() < 0.3:
            return self.random.choice(known)
        name = f"m{len(self.lines)}"
        known.append(name)
        self.lines[name] = f"{name} : {into} -> {out}"
        if self.index is not None and self.random.random() < 0.2:
            test = f"{self.index} % 2 == 0"
            self.lines[name] += f" when {test}\n      {name} : {into} -> {out} when not ({test})"
        elif self.random.random() < 0.4:
            when = f" when {self.index} > 0" if self.index and self.random.random() < 0.4 else ""
            self.lines[f"{name}.bias"] = f"{name}.bias : [{out}]{when}"
        return name


@dataclass
class Body:
    """One body: `args` are its arguments, the first of them of the dims that it gives back.

    `sizes` are the names of sizes that it may speak of.
    """

    random: Random
    args: Sequence[Value]
    rows: Rows | None
    sizes: frozenset[str]
    index: str | None = None
    prefix: str = "v"
    pool: list[Value] = field(default_factory=list)
    unused: list[Value] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = list(self.args)
        self.unused = list(self.args[1:])
        self.numbers = count()
        self.is_open = REST in self.args[0].dims

    # ---- what steps ask

    def any(self, fits: Callable[[Value], bool]) -> Value | None:
        """One of the values that fit, sooner one that nothing reads yet, or a late one."""
        fitting = [value for value in self.pool if fits(value)]
        fresh = [value for value in fitting if value in self.unused]
        if not fitting:
            return None
        chance = self.random.random()
        if fresh and chance < 0.5:
            return self.random.choice(fresh)
        return fitting[-1] if chance < 0.6 else self.random.choice(fitting)

    def row(self, dims: Dims) -> Value | None:
        return None if self.rows is None else self.rows.array(dims)

    def map(self, into: str, out: str) -> str | None:
        return None if self.rows is None else self.rows.map(into, out)

    # ---- growing

    def grow(self, number: int) -> None:
        """Adds that many values, as far as there are operands for steps."""
        kinds = [s for s in steps.STEPS if not (self.is_open and s in RANKED)]
        weights = [steps.STEPS[step] for step in kinds]
        for _ in range(4 * number):
            if number <= 0:
                return
            chance = self.random.random()
            if chance < 0.08 and self.index is not None:
                number -= self.choice()
                continue
            (step,) = self.random.choices(kinds, weights)
            before = None if self.rows is None else self.rows.copy()
            value = step(self)
            if value is None or not self.is_said(value):
                if self.rows is not None and before is not None:
                    self.rows.restore(before)
                continue
            if self.rows is not None and before is not None:
                self.rows.forget(before, value.text)
            if step not in SAFE and value.is_float:
                held = self.random.choice(["tanh({})", "tanh({})", "clamp({}, -4, 4)"])
                value = Value(held.format(value.text), value.dtype, value.dims)
            self.add(value)
            number -= 1

    def is_said(self, value: Value) -> bool:
        """Whether a value is small enough, and its sizes have names here."""
        text = " ".join((re.sub('"[^"]*"', "", value.text), *value.dims))
        names = set(re.findall(rf"\b(?:[A-Z]|{'|'.join(PARAMS)})\b", text))
        return (
            names <= self.sizes
            and (self.is_open or elements(value.dims) <= MAX_ELEMENTS)
            and (len(value.dims) <= 5)
        )

    def add(self, value: Value) -> Value:
        """A value under a name; now and then as it is, inside the next that reads it."""
        self.read(value.text)
        # A step may read a value twice, and what appends to a cache does so once.
        stateful = re.search(r"\b(?:append|own|part\d+)\(", value.text)
        if self.random.random() < 0.25 and not stateful and value.text.count("(") <= 6:
            added = Value(f"({value.text})", value.dtype, value.dims)
            self.pool.append(added)
            self.unused.append(added)
            return added
        return self.bind(value)

    def bind(self, value: Value) -> Value:
        name = f"{self.prefix}{next(self.numbers)}"
        self.lines.append(f"{name} = {value.text}")
        added = Value(name, value.dtype, value.dims)
        self.pool.append(added)
        self.unused.append(added)
        return added

    def read(self, text: str) -> None:
        """Something reads the values in a text; one without a name is read once."""
        for value in list(self.pool):
            whole = rf"(?<![\w.]){re.escape(value.text)}(?!\w)"
            if re.search(whole, text) and value in self.unused:
                self.unused.remove(value)
                if value.text.startswith("("):
                    self.pool.remove(value)

    def choice(self) -> int:
        """One of two values by the index, as a statement or within one."""
        x = self.any(lambda x: x.dtype == "")
        if x is None:
            return 0
        y = self.any(lambda y: y.dtype == "" and y.dims == x.dims) or x
        test = self.random.choice(
            ["{} == 1", "{} % 2 == 0", "{} > 0", "not ({} == 0)", "{} == 0 or {} == 2"]
        ).replace("{}", self.index or "")
        then, otherwise = f"silu({x.text})", f"{y.text} * 0.5"
        self.read(f"{then} {otherwise}")
        if self.random.random() < 0.5:
            self.bind(Value(f"{then} when {test} else {otherwise}", "", x.dims))
            return 1
        name = f"{self.prefix}{next(self.numbers)}"
        self.lines += [
            f"if {test} {{", f"  {name} = {then}", "} else {", f"  {name} = {otherwise}", "}"
        ]  # fmt: skip
        added = Value(name, "", x.dims)
        self.pool.append(added)
        self.unused.append(added)
        return 1

    # ---- the end

    def finish(self) -> list[str]:
        """The lines, and a return of the first argument with all that is left added to it."""
        first = self.args[0]
        target = first.dims
        terms = [first.text, *(self.projected(value, target) for value in self.unused)]
        return [*self.lines, f"return tanh({' + '.join(terms)})"]

    def projected(self, value: Value, target: Dims) -> str:
        """The value as activations that broadcast against `target`."""
        text, like = value.text, self.args[0].text
        match value.dtype:
            case "i64":
                text = f"cast({text} % 7, like = {like}) / 7"
            case "bool" | "f32":
                text = f"cast({text}, like = {like})"
        dims = list(value.dims)
        if self.is_open:
            return text if tuple(dims) == target or not dims else f"mean({text}, keep = true)"
        for axis in reversed(range(len(dims))):
            if dims[axis] not in target or dims.index(dims[axis]) != axis:
                text = f"mean({text}, over = {axis - len(dims)})"
                del dims[axis]
        wanted = [dim for dim in target if dim in dims]
        if wanted == dims and (not dims or list(target[-len(dims) :]) == dims):
            return text
        names = dict(zip(dims, axes(len(dims)), strict=True))
        right = " ".join(names.get(dim, "1") for dim in target)
        return f'rearrange({text}, "{" ".join(names.values())} -> {right}")'


def indented(lines: Sequence[str], margin: str) -> str:
    return "".join(f"{margin}{line}\n" for line in lines)


def section(name: str, lines: Sequence[str] | Mapping[str, str], margin: str) -> str:
    """A section of a module; none where it would be empty."""
    held = list(lines.values()) if isinstance(lines, Mapping) else list(lines)
    if not held:
        return ""
    return f"{margin}{name} {{\n{indented(held, margin + '  ')}{margin}}}\n"
