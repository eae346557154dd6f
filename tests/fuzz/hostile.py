"""Specs meant to take for ever or all memory: small texts that stand for endless work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final


def model(*sections: str) -> str:
    return "language 1\nmodel m {\n" + "\n".join(sections) + "\n}\n"


def rows(template: str, numbers: range) -> str:
    """A row a number; `{i}` is the number, `{j}` the one before."""
    return "\n".join(template.replace("{i}", str(i)).replace("{j}", str(i - 1)) for i in numbers)


def lets(template: str, numbers: range, last: str) -> str:
    return model(
        "params { x0 : size = 3 }",
        f"let {{ {rows(template, numbers)} }}",
        f"tensors {{ w : [{last}] }}",
    )


def modules(first: str, template: str, count: int) -> str:
    made = rows(f"module a{{i}} {{ {template} }}", range(1, count))
    return (
        f"language 1\nmodule a0 {{ {first} }}\n{made}\nmodel m {{ parts {{ x : a{count - 1} }} }}\n"
    )


def functions(template: str, count: int) -> str:
    made = rows(f"function f{{i}}(x: [B]) -> [B] {{ return {template} }}", range(1, count))
    return (
        f"language 1\nfunction f0(x: [B]) -> [B] {{ return x + x }}\n{made}\n"
        f"model m {{ forward(x: [B]) -> [B] {{ return f{count - 1}(x) }} }}\n"
    )


#: Everything that a circle can be made of: each has an error that names it.
CIRCLES: Final[Mapping[str, tuple[str, str]]] = {
    "lets": (model("let { a = b b = c c = a }", "tensors { w : [a] }"), "E0301"),
    "params": (model("params { a : size = b b : size = a }"), "E0316"),
    "variants": (
        model("params { a : size = 1 }", "variant x of y { a = 2 }", "variant y of x { a = 3 }"),
        "E0313",
    ),
    "tied rows": (model("params { d : size = 2 }", "tensors { a : tied b b : tied c c : tied a }"), "E0505"),
    "copied row": (model("params { d : size = 2 }", "tensors { a : copy a }"), "E0505"),
    "a module in itself": (
        "language 1\nmodule a { parts { x : a } }\nmodel m { parts { x : a } }",
        "E0604",
    ),
    "modules in each other": (
        "language 1\nmodule a { parts { x : b } }\nmodule b { parts { y[i] : a × 3 } }\n"
        "model m { parts { x : a } }",
        "E0604",
    ),
    "the model in itself": ("language 1\nmodel m { parts { x : m } }", "E0604"),
    "functions": (
        "language 1\nfunction f(x: [B]) -> [B] { return g(x) }\n"
        "function g(x: [B]) -> [B] { return f(x) }\nmodel m { forward(x: [B]) -> [B] { return f(x) } }",
        "E0459",
    ),
    "methods": (
        model(
            "function f(x: [B]) -> [B] { return f(x) }",
            "forward(x: [B]) -> [B] { return f(x) }",
        ),
        "E0459",
    ),
}  # fmt: skip

#: What grows without bound, one way or another; an answer of any kind will do, but soon.
GROWTH: Final[Mapping[str, Callable[[], str]]] = {
    "power tower": lambda: model("params { a : size = 2**2**2**2**2**2 }", "tensors { w : [a] }"),
    "nines": lambda: model("params { a : size = 9**9**9 }", "tensors { w : [a] }"),
    "powers of a param": lambda: model(
        "params { a : size = 1000000000 }", "let { b = a ** a ** a }", "tensors { w : [b] }"
    ),
    "power of reals": lambda: model(
        "params { a : real = 1e308 }", "let { b = a ** a c = a * a }", "tensors { w : [ceil(b)] }"
    ),
    "remainder of powers": lambda: model(
        "params { a : size = 281474976710656 }", "let { b = a ** a % 7 }", "tensors { w : [b] }"
    ),
    "squares of squares": lambda: lets("x{i} = x{j} * x{j}", range(1, 300), "x299"),
    "powers of powers": lambda: lets("x{i} = x{j} ** x{j}", range(1, 60), "x59"),
    "doubled sums": lambda: lets("x{i} = x{j} + x{j}", range(1, 200), "x199"),
    "chain of lets": lambda: lets("x{i} = x{j} + 1", range(1, 5000), "x4999"),
    "lets backwards": lambda: lets("x{i} = x{j} + 1", range(4999, 0, -1), "x4999"),
    "chain of params": lambda: model(
        "params { x0 : size = 1", rows("x{i} : size = x{j} + 1", range(3000, 0, -1)), "}"
    ),
    "power of a sum": lambda: model(
        "params {", rows("a{i} : size = {i}", range(1, 13)), "}",
        "let { y = (" + "+".join(f"a{i}" for i in range(1, 13)) + ") ** 12 z = y * y / (y - 1) }",
        "tensors { w : [z] }",
    ),
    "product of sums": lambda: model(
        "params {", rows("a{i} : size = {i}", range(1, 31)), "}",
        "let { y = " + "*".join(f"(a{i} + a{i + 1})" for i in range(1, 30)) + " }",
        "tensors { w : [y] }",
        "forward(x: [y]) -> [" + "*".join(f"(a{i + 1} + a{i})" for i in range(1, 30)) + "] { return x + w }",
    ),
    "chain of tied rows": lambda: model(
        "params { d : size = 2 }", "tensors { a0 : [d]", rows("a{i} : tied a{j}", range(1, 3000)), "}"
    ),
    "chain of variants": lambda: model(
        "params { a : size = 1 }", "variant v0 { }", rows("variant v{i} of v{j} { }", range(1, 1500))
    ),
    "modules that double": lambda: modules("tensors { w : [4] }", "parts { x : a{j} y : a{j} }", 40),
    "modules a thousand deep": lambda: modules("tensors { w : [4] }", "parts { x : a{j} }", 1500),
    "repetitions of repetitions": lambda: modules(
        "tensors { w : [4] }", "parts { x[k] : a{j} × 1000000 }", 25
    ),
    "functions that double": lambda: functions("f{j}(f{j}(x))", 40),
    "functions a thousand deep": lambda: functions("f{j}(x)", 1500),
    "a trillion layers": lambda: model(
        "params { n : size = 1000000000000 }", "parts { l[i] : b × n }",
        "module b { params { i : count } tensors { w : [4] when i ** 2 % 7 == 3 and i % 5 < 2 v : [i + 1] } }",
    ),
    "forty flags": lambda: model(
        "params { d : size = 4", rows("f{i} : flag = true", range(40)), "}",
        "tensors {", rows("w{i} : d -> d when f{i}", range(40)), "}",
        "forward(x: [B, d]) -> [B, d] { y0 = w0(x) when f0 else x",
        rows("y{i} = w{i}(y{j}) when f{i} else y{j}", range(1, 40)), "return y39 }",
    ),
    "thirty ifs": lambda: model(
        "params { d : size = 4", rows("f{i} : flag = true", range(30)), "}",
        "forward(x: [B, d]) -> [B, d] {",
        rows("if f{i} { y{i} = x } else { y{i} = x + x }", range(30)),
        "return " + " + ".join(f"y{i}" for i in range(30)) + " }",
    ),
    "one name five hundred times": lambda: model(
        "params { d : size = 3 }", "tensors {", rows("p : d -> d when d > {i}", range(500)), "}"
    ),
    "thousands of params": lambda: model("params {", rows("p{i} : size = {i}", range(1, 8000)), "}"),
    "thousands of rows": lambda: model(
        "params { d : size = 3 }", "tensors {", rows("p{i} : d -> d when d > {i}", range(6000)), "}"
    ),
    "thousands of statements": lambda: model(
        "params { d : size = 3 }", "forward(x: [B, d]) -> [B, d] { y0 = x",
        rows("y{i} = y{j} + x", range(1, 6000)), "return y5999 }",
    ),
    "thousands of choices": lambda: model(
        "params { k : " + "|".join(f'"c{i}"' for i in range(3000)) + ' = "c0" }',
        'tensors { w : [3] when k == "c1" v : [2] when k == "c2" }',
    ),
    "thousands of requirements": lambda: model(
        "params { a : size = 4 b : size = 5 }", "require {",
        rows('(a ** {i} + b) % {i} <= {i} "r"', range(1, 1500)), "}", "tensors { w : [a] }",
    ),
    "thousands of dimensions": lambda: model("tensors { w : [" + ", ".join(["2"] * 20_000) + "] }"),
    "huge dimensions": lambda: model(
        "params { a : size = 281474976710656 }", "tensors { w : [" + ", ".join(["a"] * 100) + "] }"
    ),
    "long names": lambda: model(
        "params { " + "a" * 100_000 + " : size = 2 }", "tensors { w : [" + "a" * 100_000 + "] }"
    ),
    "brackets in a template": lambda: model(
        "params { a : size = 2 }", "tensors { w : [a] }", 'names hf { w -> "{' + "(" * 100_000 + '}" }'
    ),
    "powers in a template": lambda: model(
        "params { a : size = 9 }", "tensors { w : [a] }", 'names hf { w -> "{a ** a ** a ** a}" }'
    ),
    "brackets in a pattern": lambda: model(
        'forward(x: [B, S]) -> [B, S] { return rearrange(x, "b s -> ' + "(" * 5000 + 'b s") }'
    ),
    "a long pattern": lambda: model(
        'forward(x: [B, S]) -> [B, S] { return rearrange(x, "' + "a b " * 5000 + '-> b") }'
    ),
    "no number at all": lambda: model(
        "let { a = 1 / 0 b = 1 % 0 c = 0 ** -1 d = ln(0) e = (-8) ** 0.5 f = exp(10000)"
        " g = inf - inf h = ceil(inf) i = sqrt(-1) }",
        "tensors { w : [a, b, c, d, e, f, g, h, i] }",
    ),
    "numbers below one": lambda: model(
        "params { a : size = -5 b : count = -1 c : size = 0 d : size = 1.5 }", "tensors { w : [a, b, c, d] }"
    ),
}  # fmt: skip
