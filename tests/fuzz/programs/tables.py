"""Random tables, deterministic by seed: modules in modules, with caches, mixtures and conditions.

Every table passes `check`; `table(seed)` gives its text.  Modules come in two kinds, by what their
forwards take: `token` (x: [..., dim]) and `mixer` (x: [B, S, dim], positions, mask).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.programs.bodies import Body, Rows, section
from tests.fuzz.programs.values import PARAMS, REST, Value

#: The sizes that have names in modules: params, and the shape variables of a mixer.
NAMED = frozenset(PARAMS)
MIXED = NAMED | {"B", "S", "T"}

#: What a cache keeps of each token, and the axis that tokens are along.
LAYOUTS = {
    "[B, T, dim]": (("B", "T", "dim"), "b s d -> b s d"),
    "[B, dim, T]": (("B", "dim", "T"), "b s d -> b d s"),
    "[B, T, heads, head]": (("B", "T", "heads", "head"), "b s (h f) -> b s h f"),
    "[B, heads, T, head]": (("B", "heads", "T", "head"), "b s (h f) -> b h s f"),
}


@dataclass
class Program:
    """A table in the making: the texts of its modules and functions, by name."""

    random: Random
    modules: dict[str, str] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)  # modules of the file
    functions: dict[str, str] = field(default_factory=dict)
    uses: dict[str, str] = field(default_factory=dict)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.modules) + len(self.outside)}"

    # ---- modules

    def module(self, name: str, sections: str, forward: str, *, indexed: bool) -> None:
        """Adds a module, inside the model or beside it, where it has params of its own."""
        params = ["layer : count"] if indexed else []
        inside = any(re.search(rf"\b{other}\b", sections) for other in self.modules)
        if not inside and self.chance(0.3):
            params += [f"{param} : size" for param in PARAMS]
            self.outside[name] = wrapped(name, params, REQUIRE + sections, forward)
        else:
            self.modules[name] = wrapped(name, params, sections, forward)

    def token(self, depth: int, *, indexed: bool = False, alike: bool = False) -> str:
        """A module that treats every token alike; `alike` ones can be stacked."""
        name = self.name("token")
        rows = Rows(self.random, "layer" if indexed else None, only_vectors=alike)
        index = "layer" if indexed else None
        body = Body(self.random, [Value("x", "", (REST, "dim"))], rows, NAMED, index)
        parts: list[str] = []
        body.grow(self.random.randrange(1, 6))
        if depth and not alike and self.chance(0.5):
            inner = self.token(depth - 1)
            name = self.name("token")
            parts.append(f"inner : {inner}")
            body.add(Value("inner(x)", "", (REST, "dim")))
        self.call_function(body, (REST, "dim"))
        name = self.name("token")
        sections = section("parts", parts, "  ") + section("tensors", rows.lines, "  ")
        self.module(name, sections, written("x: [..., dim]", "[..., dim]", body), indexed=indexed)
        return name

    def mixer(self, depth: int, *, indexed: bool = False) -> str:
        """A module whose tokens meet: caches, parts of any kind, mixtures, methods."""
        index = "layer" if indexed else None
        rows = Rows(self.random, index)
        args = [
            Value("x", "", ("B", "S", "dim")),
            Value("positions", "i64", ("B", "S")),
            Value("mask", "bool", ("B", "T")),
        ]
        body = Body(self.random, args, rows, MIXED, index)
        parts: list[str] = []
        caches: list[str] = []
        body.grow(self.random.randrange(1, 5))
        for number in range(self.random.choice([0, 0, 1, 1, 1, 2])):
            layout = self.random.choice(list(LAYOUTS))
            dims, pattern = LAYOUTS[layout]
            caches.append(f"kept{number} : {layout} along T")
            source = self.stream(body)
            stated = ", h = heads, f = head" if "(h f)" in pattern else ""
            new = f'rearrange({source}, "{pattern}"{stated})'
            body.read(source)
            body.bind(Value(f"append(kept{number}, {new})", "", dims))
            body.grow(self.random.randrange(3))
        for number in range(self.random.randrange(3) if depth else 0):
            self.part(body, parts, f"part{number}", depth, index)
            body.grow(self.random.randrange(3))
        functions = ""
        if self.chance(0.3):
            inner = Body(
                self.random,
                [Value("y", "", ("B", "S", "dim"))],
                rows,
                NAMED | {"B", "S"},
                index,
                "w",
            )
            inner.grow(self.random.randrange(1, 5))
            functions = indent(
                written("y: [B, S, dim]", "[B, S, dim]", inner, "function own"), "  "
            )
            body.add(Value(f"own({self.stream(body)})", "", ("B", "S", "dim")))
        self.call_function(body, ("B", "S", "dim"))
        body.grow(self.random.randrange(3))
        name = self.name("mixer")
        sections = (
            section("parts", parts, "  ")
            + section("tensors", rows.lines, "  ")
            + section("cache", caches, "  ")
            + functions
        )
        takes = "x: [B, S, dim], positions: i64 [B, S], mask: bool [B, T]"
        self.module(name, sections, written(takes, "[B, S, dim]", body), indexed=indexed)
        return name

    def stream(self, body: Body) -> str:
        """A value of the residual stream's type."""
        found = body.any(lambda x: x.dtype == "" and x.dims == ("B", "S", "dim"))
        assert found is not None
        return found.text

    def attentive(self) -> str:
        """Grouped attention with a cache, by the std functions that stand for platform operations."""
        self.uses["attention"] = "use std.attention { attention, causal }"
        self.uses["norm"] = "use std.norm { layernorm, rmsnorm }"
        name = self.name("mixer")
        norm = self.random.choice(["layernorm(width = dim, norm_eps = 0.01)",
                                   "layernorm(width = dim, norm_eps = 0.01, bias = false)",
                                   "rmsnorm(width = dim, norm_eps = 0.01)"])  # fmt: skip
        shared = self.random.choice(["1", "heads"])
        text = ATTENTIVE.replace("NORM", norm).replace("KEYS", shared)
        self.modules[name] = f"module {name} {{\n{text}}}\n"
        return name

    # ---- parts

    def part(self, body: Body, parts: list[str], name: str, depth: int, index: str | None) -> None:
        """A part of some kind, and a call of it."""
        dims = ("B", "S", "dim")
        kind = self.random.choice(
            ["token", "mixer", "stack", "stack", "mixture", "mixture", "choice"]
        )
        x = self.stream(body)
        match kind:
            case "token":
                parts.append(f"{name} : {self.token(depth - 1)}")
                body.add(Value(f"{name}({x})", "", dims))
            case "mixer":
                inner = self.attentive() if self.chance(0.5) else self.mixer(depth - 1)
                parts.append(f"{name} : {inner}")
                body.add(Value(f"{name}({x}, positions, mask)", "", dims))
            case "stack":
                indexed = self.chance(0.5)
                plain = not indexed and self.chance(0.3)
                inner = self.attentive() if plain else self.mixer(depth - 1, indexed=indexed)
                times = self.random.choice(["0", "1", "2", "3", "k"])
                i = "layer" if indexed and index is None else "i"
                given = "(layer = i)" if indexed and index is not None else ""
                parts.append(f"{name}[{i}] : {inner}{given} × {times}")
                body.add(Value(f"{name}({x}, positions, mask)", "", dims))
            case "mixture":
                alike = self.chance(0.7)
                inner = self.token(0 if alike else depth - 1, alike=alike)
                times = self.random.choice([2, 3, 4])
                chosen = self.random.randrange(1, times + 1)
                parts.append(f"{name}[e] : {inner} × {times}")
                router = body.map("dim", str(times))
                body.lines.append(f"{name}w, {name}i = topk(softmax({router}({x})), {chosen})")
                body.add(Value(f"mixture({name}, {self.stream(body)}, {name}w, {name}i)", "", dims))
            case "choice" if index is not None:
                test = f"{index} == 1"
                parts.append(f"{name} : {self.token(depth - 1)} when {test}")
                if self.chance(0.5):
                    parts.append(f"{name} : {self.token(depth - 1)} when not ({test})")
                    body.add(Value(f"{name}({x})", "", dims))
                else:
                    body.bind(Value(f"{name}({x}) when {test} else {x}", "", dims))
            case _:
                parts.append(f"{name} : {self.token(depth - 1)}")
                body.add(Value(f"{name}({x})", "", dims))
        body.read(x)

    # ---- functions

    def call_function(self, body: Body, dims: tuple[str, ...]) -> None:
        """Now and then a free function of values of these dims."""
        if not self.chance(0.3):
            return
        x = body.any(lambda x: x.dtype == "" and x.dims == dims)
        if x is None:
            return
        kind = self.random.choice(
            ["scaled", "slopes"] if REST in dims else ["scaled", "slopes", "mixed"]
        )
        if kind == "scaled":
            self.functions["scaled"] = SCALED
            text = f"scaled({x.text}, {self.random.choice(['0.5', 'head ** -0.5', '1 / k'])}, 2)"
        elif kind == "slopes":
            self.functions["slopes"] = SLOPES
            text = f"cast(slopes(dim), like = {x.text}) * {x.text}"
        else:
            if "mixed" not in self.functions:
                inner = Body(self.random, [Value("x", "", ("P", "Q", "N"))], None, frozenset("PQN"))
                inner.grow(self.random.randrange(2, 7))
                self.functions["mixed"] = written(
                    "x: [P, Q, N]", "[P, Q, N]", inner, "function mixed"
                )
            text = f"mixed({x.text})"
        body.add(Value(text, "", dims))

    # ---- the model

    def model(self) -> str:
        rows = Rows(self.random, None)
        masked = self.chance(0.85)
        args = [Value("x", "", ("B", "S", "dim")), Value("tokens", "i64", ("B", "S"))]
        takes = "tokens: i64 [B, S]"
        if masked:
            args += [Value("positions", "i64", ("B", "S")), Value("mask", "bool", ("B", "T"))]
            takes += ", positions: i64 [B, S], mask: bool [B, T]"
        body = Body(self.random, args, rows, MIXED if masked else NAMED | {"B", "S"})
        parts: list[str] = []
        caches: list[str] = []
        if masked and self.chance(0.15):
            caches.append("own : [B, T, dim] along T")
            body.bind(Value("append(own, x)", "", ("B", "T", "dim")))
        body.grow(self.random.randrange(1, 6))
        for number in range(self.random.randrange(4) if masked else 0):
            self.part(body, parts, f"part{number}", 2, None)
            body.grow(self.random.randrange(3))
        self.call_function(body, ("B", "S", "dim"))
        rows.lines["embed"] = "embed : [vocab_size, dim]"
        lines = ["x = take(embed, tokens)", *body.finish()]
        result = "dim"
        if self.chance(0.5):
            tied = self.chance(0.4)
            rows.lines["readout"] = (
                "readout : tied embed" if tied else "readout : dim -> vocab_size"
            )
            lines[-1] = f"return readout({lines[-1].removeprefix('return ')})"
            result = "vocab_size"
        forward = f"  forward({takes}) -> [B, S, {result}] {{\n"
        forward += "".join(f"    {line}\n" for line in lines) + "  }\n"
        params = [f"{name} : size = {value}" for name, value in PARAMS.items()]
        dtypes = ["maps = f32", "arrays = f32", "activations = f32", "caches = f32"]
        sections = (
            section("params", params, "  ")
            + REQUIRE
            + section("dtypes", dtypes, "  ")
            + section("parts", parts, "  ")
            + section("tensors", rows.lines, "  ")
            + section("cache", caches, "  ")
        )
        inside = "".join(indent(text, "  ") for text in self.modules.values())
        model = f'model random "A random table" {{\n{sections}{forward}{inside}}}\n'
        head = "\n".join(["language 1", *self.uses.values()])
        return f"{head}\n{model}" + "".join([*self.outside.values(), *self.functions.values()])


REQUIRE = """  require {
    heads × head == dim    "the heads are the width"
    dim % heads == 0       "heads divide it"
  }
"""

#: A mixer with the platform's attention; its kind of norm and number of key heads vary.
ATTENTIVE = """  parts { norm : NORM }
  tensors {
    wq : dim -> heads × head
    wk : dim -> KEYS × head
    wv : dim -> KEYS × k
    wo : heads × k -> dim
  }
  cache {
    key   : [B, T, KEYS, head] along T
    value : [B, T, KEYS, k] along T
  }
  forward(x: [B, S, dim], positions: i64 [B, S], mask: bool [B, T]) -> [B, S, dim] {
    y = norm(x)
    q = rearrange(wq(y), "b s (h d) -> b s h d", h = heads, d = head)
    n = append(key, rearrange(wk(y), "b s (h d) -> b s h d", h = KEYS, d = head))
    v = append(value, rearrange(wv(y), "b s (h d) -> b s h d", h = KEYS, d = k))
    mixed = attention(q, n, v, causal(positions, mask), head ** -0.5)
    return tanh(x + wo(rearrange(mixed, "b s h d -> b s (h d)")))
  }
"""

#: A function of any leading dims, with compile-time numbers.
SCALED = """function scaled(x: [..., N], by: real, k: size) -> [..., N] {
  return tanh(x * by) + mean(x, keep = true) / k
}
"""

#: A function without tensors.
SLOPES = """function slopes(n: size) -> f32 [n] {
  return 2 ** (-cast(iota(n), f32) / n)
}
"""


def written(takes: str, gives: str, body: Body, what: str = "forward") -> str:
    """A forward or function as text."""
    lines = "".join(f"  {line}\n" for line in body.finish())
    return f"{what}({takes}) -> {gives} {{\n{lines}}}\n"


def wrapped(name: str, params: list[str], sections: str, forward: str) -> str:
    return (
        f"module {name} {{\n{section('params', params, '  ')}{sections}{indent(forward, '  ')}}}\n"
    )


def indent(text: str, margin: str) -> str:
    return "".join(f"{margin}{line}\n" for line in text.splitlines())


def table(seed: int) -> str:
    """The text of the table of a seed."""
    return Program(Random(seed)).model()
