"""A use of every op of the IR at every rank and dtype that its typing allows, as tables.

`ENTRIES` gives each op the expressions that it is tried in; `kinds.dsv3` has the other kinds of
values.  That nothing is left out is tested against the IR itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

#: The dims of the values of each rank, as the tables write them.
SHAPES = ("", "S", "B S", "B S 12", "B S 3 4")

#: Values of each rank: `a` activations, `i` whole numbers, `b` truths, `p` positive activations.
VALUES = {
    "a3": "take(embed, tokens)",
    "a4": 'rearrange(a3, "b s (h d) -> b s h d", h = 3)',
    "a2": "sum(a3)",
    "a1": "mean(a2, over = 0)",
    "a0": "sum(a1)",
    "i2": "tokens",
    "i3": 'rearrange(tokens, "b s -> b s 1") - iota(12)',
    "i4": 'rearrange(i3, "b s (h d) -> b s h d", h = 3)',
    "i1": "iota(S) - 2",
    "i0": "sum(iota(3))",
    **{f"b{rank}": f"a{rank} > 0.1" for rank in range(5)},
    **{f"p{rank}": f"a{rank} * a{rank} + 0.25" for rank in range(5)},
}

FLOATS = ("act", "f32", "f64")
WHOLE = ("i64", "i32")


def typed(name: str, dtype: str) -> str:
    """A value in a dtype."""
    own = {"act": "apm", "i64": "i", "bool": "b"}
    return name if name[0] in own.get(dtype, "") else f"cast({name}, {dtype})"


@dataclass(frozen=True)
class Entry:
    """An expression and the dims of its result, in the words of SHAPES; `b` for 12 × b etc."""

    expression: str
    dims: str


def ranked(form: str, values: str = "a", dtypes: Sequence[str] = FLOATS) -> Iterator[Entry]:
    """`form` of a value of each rank in each dtype."""
    for rank, dims in enumerate(SHAPES):
        for dtype in dtypes:
            yield Entry(form.format(typed(f"{values}{rank}", dtype)), dims)


def paired(sign: str, dtypes: Sequence[str] = (*FLOATS, *WHOLE)) -> Iterator[Entry]:
    """An infix op of values of one rank, of values that broadcast, and with numbers."""
    for dtype in dtypes:
        left, right = ("a", "p") if dtype in FLOATS else ("i", "i")
        number = "1.5" if dtype in FLOATS else "3"
        divisor = sign in ("/", "%")
        plus = " + 20" if divisor and dtype in WHOLE else ""  # nothing is divided by 0
        for rank, dims in enumerate(SHAPES):
            a, b = typed(f"{left}{rank}", dtype), typed(f"{right}{rank}", dtype)
            yield Entry(f"{a} {sign} ({b}{plus})", dims)
            yield Entry(f"{a} {sign} {number}", dims)
            yield Entry(f"{number} {sign} ({b}{plus})", dims)
        wide, low = typed(f"{left}3", dtype), typed(f"{right}0", dtype)
        yield Entry(f"{wide} {sign} ({low}{plus})", SHAPES[3])
        column = f'rearrange({typed(f"{right}2", dtype)}, "b s -> b s 1")'
        yield Entry(f"{wide} {sign} ({column}{plus})", SHAPES[3])


def compared(sign: str) -> Iterator[Entry]:
    yield from paired(sign)
    for rank in range(1, 5):
        yield Entry(f"i{rank} {sign} 1.5", SHAPES[rank])
        yield Entry(f"i{rank} {sign} T", SHAPES[rank])
        yield Entry(f"i{rank} {sign} a{rank}", SHAPES[rank])


def reduced(op: str, values: str, dtypes: Sequence[str]) -> Iterator[Entry]:
    for rank, shape in enumerate(SHAPES[1:], 1):
        dims = shape.split()
        for dtype in dtypes:
            value = typed(f"{values}{rank}", dtype)
            for axis in range(rank):
                left = " ".join(dims[:axis] + dims[axis + 1 :])
                yield Entry(f"{op}({value}, over = {axis - rank})", left)
                kept = " ".join([*dims[:axis], "1", *dims[axis + 1 :]])
                yield Entry(f"{op}({value}, over = {axis}, keep = true)", kept)


def everywhere(form: str, values: Sequence[tuple[str, str]]) -> Iterator[Entry]:
    """`form` of a value of each rank from 1 and its dims, over each axis."""
    for kind, dtype in values:
        for rank, shape in enumerate(SHAPES[1:], 1):
            for axis in range(rank):
                value = typed(f"{kind}{rank}", dtype)
                yield Entry(form.format(value, axis=axis - rank), shape)


ALL = (("a", "act"), ("a", "f32"), ("a", "f64"), ("i", "i64"), ("i", "i32"), ("b", "bool"))


def joined() -> Iterator[Entry]:
    for kind, dtype in ALL:
        for rank, shape in enumerate(SHAPES[1:], 1):
            for axis, dim in enumerate(dims := shape.split()):
                value = typed(f"{kind}{rank}", dtype)
                twice = " ".join([*dims[:axis], f"{dim}+{dim}", *dims[axis + 1 :]])
                yield Entry(f"concat([{value}, {value}], over = {axis - rank})", twice)


def sliced() -> Iterator[Entry]:
    for kind, dtype in ALL:
        value = typed(f"{kind}1", dtype)
        yield Entry(f"slice({value}, 1, S)", "S-1")
        yield Entry(f"slice({value}, 0, S - 1, over = S)", "S-1")
        yield Entry(f"slice({typed(f'{kind}3', dtype)}, 2, 7)", "B S 5")
        yield Entry(f"slice({typed(f'{kind}4', dtype)}, 1, 3, over = -2)", "B S 2 4")
        inner = f"slice({typed(f'{kind}4', dtype)}, 1, 3, over = -2)"
        yield Entry(f"slice({inner}, 0, 2)", "B S 2 2")


def cut() -> Iterator[Entry]:
    """`split` has several results, which a function makes one."""
    for kind, dtype in ALL:
        shown = dtype if dtype != "act" else "acts"
        yield Entry(f"thirds_{shown}({typed(f'{kind}3', dtype)})", "B S 12")
        yield Entry(f"halves_{shown}({typed(f'{kind}3', dtype)})", "B S 12")


def taken() -> Iterator[Entry]:
    """Tables of every rank from 1, places of every rank from 0."""
    places = {0: "i0", 1: "iota(S)", 2: "tokens % 3", 3: "i3 % 3", 4: "i4 % 3"}
    tables = {
        "lists": "",
        "counted": "",
        "vector": "",
        "embed": "12",
        "cube": "2 12",
        "block": "2 3 4",
        'rearrange(a3, "b s d -> d b s")': "B S",
    }
    for table, rest in tables.items():
        for rank, place in places.items():
            index = f"({place}) % 3"
            dims = f"{SHAPES[rank]} {rest}".strip()
            if len(dims.split()) <= 5:
                yield Entry(f"take({table}, {index})", dims)
                yield Entry(f"take({table}, cast({index}, i32))", dims)


def gathered() -> Iterator[Entry]:
    """Places as the values have them, and places or values that broadcast."""
    for values in ("a3", "cast(a3, f32)", "i3", "cast(i3, i32)", "b3"):
        yield Entry(f"gather({values}, i3 % 12)", "B S 12")
        yield Entry(f"gather({values}, cast(i3 % 12, i32))", "B S 12")
        yield Entry(f"gather({values}, iota(5))", "B S 5")
        yield Entry(f'gather({values}, rearrange(i2 % 12, "b s -> b 1 s"))', "B S S")
    yield Entry("gather(a1, i1 % S)", "S")
    yield Entry("gather(a1, i3 % S)", "B S 12")
    yield Entry("gather(a2, i1 % S)", "B S")
    yield Entry("gather(a4, i4 % 4)", "B S 3 4")
    yield Entry('gather(a4, rearrange(i2 % 4, "b s -> b s 1 1"))', "B S 3 1")
    yield Entry("gather(vector, i3 % 9)", "B S 12")


def best() -> Iterator[Entry]:
    for rank, shape in enumerate(SHAPES[1:], 1):
        dims = shape.split()[:-1]
        for dtype in (*FLOATS, *WHOLE):
            # No two numbers of an axis are equal.
            value = f"{typed(f'a{rank}', dtype)}" if dtype in FLOATS else typed("i3", dtype)
            dims = dims if dtype in FLOATS else ["B", "S"]
            shown = "acts" if dtype == "act" else dtype
            yield Entry(f"best_{shown}({value})", " ".join([*dims, "2"]))
            yield Entry(f"places_{shown}({value})", " ".join([*dims, "2"]))


def repeated() -> Iterator[Entry]:
    for kind, dtype in ALL:
        x = {rank: typed(f"{kind}{rank}", dtype) for rank in range(5)}
        yield Entry(f'repeat({x[0]}, " -> k", k = 3)', "3")
        yield Entry(f'repeat({x[1]}, "s -> b s", b = B)', "B S")
        yield Entry(f'repeat({x[2]}, "b s -> b s k", k = 2)', "B S 2")
        yield Entry(f'repeat({x[2]}, "b s -> b (s k)", k = 2)', "B 2*S")
        yield Entry(f'repeat({x[2]}, "b s -> (b j) (s k)", j = 2, k = 3)', "2*B 3*S")
        yield Entry(f'repeat({x[3]}, "b s d -> b (k s) d", k = 2)', "B 2*S 12")
        yield Entry(f'repeat({x[4]}, "b s h d -> b s (h k) d", k = 2)', "B S 6 4")


def rearranged() -> Iterator[Entry]:
    for kind, dtype in ALL:
        x = {rank: typed(f"{kind}{rank}", dtype) for rank in range(5)}
        yield Entry(f'rearrange({x[0]}, " -> 1 1")', "1 1")
        yield Entry(f'rearrange({x[1]}, "s -> 1 s 1")', "1 S 1")
        yield Entry(f'rearrange({x[2]}, "b s -> s b")', "S B")
        yield Entry(f'rearrange({x[2]}, "b s -> (s b)")', "S*B")
        yield Entry(f'rearrange({x[3]}, "b s d -> b d s")', "B 12 S")
        yield Entry(f'rearrange({x[3]}, "b s (i j) -> b s (j i)", i = 4)', "B S 12")
        yield Entry(f'rearrange({x[3]}, "... (i j) -> ... i j", i = 2)', "B S 2 6")
        yield Entry(f'rearrange({x[4]}, "b s h d -> h (b s) d")', "3 B*S 4")
        yield Entry(f'rearrange({x[4]}, "b s h d -> d h s b")', "4 3 S B")


def products() -> Iterator[Entry]:
    for dtype in ("act", "f32", "f64"):
        x = {rank: typed(f"a{rank}", dtype) for rank in range(5)}
        yield Entry(f'einsum("s -> ", {x[1]})', "")
        yield Entry(f'einsum("s, s -> ", {x[1]}, {x[1]})', "")
        yield Entry(f'einsum("s, t -> s t", {x[1]}, {x[1]})', "S S")
        yield Entry(f'einsum("b s, c s -> b c", {x[2]}, {x[2]})', "B B")
        yield Entry(f'einsum("b s d, b t d -> b s t", {x[3]}, {x[3]})', "B S S")
        yield Entry(
            f'einsum("b s d, b s, e d -> e b", {x[3]}, {x[2]}, {typed("map", dtype)})', "9 B"
        )
        yield Entry(f'einsum("b s h d, b t h d -> b h s t", {x[4]}, {x[4]})', "B 3 S S")
        yield Entry(f'einsum("... h d, ... g d -> ... h g", {x[4]}, {x[4]})', "B S 3 3")
        yield Entry(f'einsum("b s h d, b s h d -> b s h d", {x[4]}, {x[4]})', "B S 3 4")
        yield Entry(f'einsum("b s d, e d -> e s b", {x[3]}, {typed("map", dtype)})', "9 S B")
        yield Entry(f'einsum(", s -> s", {x[0]}, {x[1]})', "S")


def chosen() -> Iterator[Entry]:
    for kind, dtype in ALL:
        numbers = {"act": "0.5", "f32": "0.25", "f64": "2", "i64": "7", "i32": "T", "bool": "true"}
        number = numbers[dtype]
        for rank, shape in enumerate(SHAPES):
            value = typed(f"{kind}{rank}", dtype)
            yield Entry(f"where(b{rank}, {value}, {value})", shape)
            yield Entry(f"where(b{rank}, {value}, {number})", shape)
            yield Entry(f"where(b{rank}, {number}, {value})", shape)
        yield Entry(f"where(b1, {typed(f'{kind}0', dtype)}, {typed(f'{kind}2', dtype)})", "B S")


def clamped() -> Iterator[Entry]:
    yield from ranked("clamp({}, -0.5, 0.5)")
    yield from ranked("clamp({}, -inf, 0.5)")
    yield from ranked("clamp({}, 0, inf)", "i", WHOLE)
    yield from ranked("clamp({}, 0, T - 1)", "i", WHOLE)
    yield from ranked("clamp({}, -S, 2)", "i", ("i64",))
    yield from ranked("clamp({}, 0, S)", "a", ("act", "f32"))


def converted() -> Iterator[Entry]:
    for kind, dtype in ALL:
        for rank, shape in enumerate(SHAPES):
            for target in ("f64", "f32", "f16", "i64", "i32", "bool"):
                value = typed(f"{kind}{rank}", dtype)
                yield Entry(f"cast({value}, {target})", shape)
            yield Entry(f"cast({value}, like = embed)", shape)
    for number, target in (
        ("0.5", "f32"),
        ("3", "i64"),
        ("S", "i64"),
        ("true", "bool"),
        ("T", "f32"),
        ("2", "f16"),
    ):
        yield Entry(f"cast({number}, {target})", "")
    yield Entry("cast(0.5, like = embed)", "")


UNARY = ("silu", "sigmoid", "tanh", "erf", "cos", "sin")

#: For each op of the IR by its name there.
ENTRIES: Mapping[str, tuple[Entry, ...]] = {
    name: tuple(entries)
    for name, entries in {
        **{op: ranked(f"{op}({{}})") for op in UNARY},
        "exp": ranked("exp(clamp({}, -3, 2))"),
        "sqrt": ranked("sqrt({})", "p"),
        "rsqrt": ranked("rsqrt({})", "p"),
        "neg": [*ranked("-{}"), *ranked("-{}", "i", WHOLE)],
        "not": ranked("not {}", "b", ("bool",)),
        "add": paired("+"),
        "sub": paired("-"),
        "mul": paired("*"),
        "div": paired("/"),
        "mod": paired("%"),
        "pow": [
            *(e for e in paired("**", FLOATS) if not e.expression.startswith(("a", "cast(a"))),
            *ranked("{} ** 3", "a", FLOATS),
            *ranked("{} ** 2", "i", WHOLE),
            *ranked("2 ** clamp({}, 0, 4)", "i", WHOLE),
            *ranked("0.5 ** {}", "i", WHOLE),
        ],
        "eq": [*compared("=="), *ranked("{} == b0", "b", ("bool",)), Entry("b3 == true", "B S 12")],
        "ne": [*compared("!="), *ranked("{} != b0", "b", ("bool",))],
        "lt": compared("<"),
        "le": compared("<="),
        "gt": compared(">"),
        "ge": compared(">="),
        "and": ranked("{} and b0", "b", ("bool",)),
        "or": [*ranked("{} or b0", "b", ("bool",)), Entry('b3 or rearrange(b1, "s -> s 1")', "B S 12")],
        "cast": converted(),
        "softmax": everywhere("softmax({}, over = {axis})", [("a", d) for d in ("act", "f32", "f64")]),
        "cumsum": everywhere(
            "cumsum({}, over = {axis})",
            [*(("a", d) for d in ("act", "f32", "f64")), ("i", "i64"), ("i", "i32")],
        ),
        "sum": [*reduced("sum", "a", FLOATS), *reduced("sum", "i", WHOLE)],
        "mean": reduced("mean", "a", FLOATS),
        "max": [*reduced("max", "a", FLOATS), *reduced("max", "i", WHOLE)],
        "any": reduced("any", "b", ("bool",)),
        "where": chosen(),
        "clamp": clamped(),
        "iota": [Entry("iota(5)", "5"), Entry("iota(S)", "S"), Entry("iota(T - S)", "T-S"), Entry("iota(B * S)", "B*S"), Entry("iota(wide)", "wide")],
        "constant": [Entry("lists", "length(lists)"), Entry("counted", "length(counted)"), Entry("lists * 2", "length(lists)"), Entry("counted + 1", "length(counted)")],
        "take": taken(),
        "gather": gathered(),
        "topk": best(),
        "split": cut(),
        "concat": joined(),
        "slice": sliced(),
        "rearrange": rearranged(),
        "repeat": repeated(),
        "einsum": products(),
    }.items()
}  # fmt: skip

HEAD = """language 1
model tried "{op}" {{
  params {{
    vocab_size : size = 9
    wide       : size = 6
    lists      : reals = [0.5, 2, -1.25, 3]
    counted    : counts = [2, 0, 5]
  }}
  dtypes {{ maps = f32  arrays = f32  activations = f32  caches = f32 }}
  tensors {{
    embed  : [vocab_size, 12]
{rows}  }}
  forward(tokens: i64 [B, S], mask: bool [B, T]) -> [{length}] {{
{body}    return {result}
  }}
}}
"""

#: Rows beside the embedding, which a table has if it reads them.
ROWS = {"vector": "[9]", "cube": "[9, 2, 12]", "block": "[9, 2, 3, 4]", "map": "[9, 12]"}

#: A function makes the results of an op one; their names end in the dtype.
FUNCTIONS = {
    "thirds": """function thirds_{name}(x: {dtype} [..., N]) -> {dtype} [..., N] {{
  a, b, c = split(x, [2, 4, N - 6])
  return concat([c, a, b])
}}
""",
    "halves": """function halves_{name}(x: {dtype} [..., 12]) -> {dtype} [..., 12] {{
  a, b = split(x, [6, 6])
  return concat([b, a])
}}
""",
    "best": """function best_{name}(x: {dtype} [..., N]) -> {dtype} [..., 2] {{
  values, _ = topk(x, 2)
  return values
}}
""",
    "places": """function places_{name}(x: {dtype} [..., N]) -> i64 [..., 2] {{
  _, index = topk(x, 2)
  return index
}}
""",
}

#: As many pieces a `concat` may have.
PIECES = 100


def table(op: str, entries: Sequence[Entry]) -> str:
    """A table whose result is that of all entries, one after the other."""
    read = [entry.expression for entry in entries]
    lines = dict.fromkeys(name for expression in read for name in needed(expression))
    body = [f"    {name} = {VALUES[name]}\n" for name in lines]
    results, lengths = [], []
    for number, entry in enumerate(entries):
        dims = [f"({dim.replace('*', ' × ')})" for dim in entry.dims.split()]
        axes = " ".join("abcde"[: len(dims)])
        merged = f"({axes})" if len(dims) > 1 else axes or "1"
        body.append(f"    r{number} = cast({entry.expression}, like = embed)\n")
        results.append(f'rearrange(r{number}, "{axes} -> {merged}")')
        lengths.append(" × ".join(dims) or "1")
    while len(results) > 1:
        groups = [results[i : i + PIECES] for i in range(0, len(results), PIECES)]
        results = [f"concat([{', '.join(g)}])" if len(g) > 1 else g[0] for g in groups]
    rows = [f"    {n} : {s}\n" for n, s in ROWS.items() if re.search(rf"\b{n}\b", " ".join(read))]
    head = HEAD.format(
        op=op,
        rows="".join(rows),
        length=" + ".join(lengths),
        body="".join(body),
        result=results[0],
    )
    calls = dict.fromkeys(re.findall(rf"\b({'|'.join(FUNCTIONS)})_(\w+)\(", " ".join(read)))
    functions = (
        FUNCTIONS[which].format(name=name, dtype="" if name == "acts" else name)
        for which, name in calls
    )
    return head + "".join(functions)


def needed(expression: str) -> Iterator[str]:
    """The names in VALUES that an expression reads, what they read before them."""
    for name in re.findall(r"\b[aibp][0-4]\b", expression):
        yield from needed(VALUES[name])
        yield name
