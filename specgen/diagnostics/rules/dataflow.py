"""The codes E04xx of bodies: names, calls, caches, statements, forwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, error, warning

DATAFLOW_CODES: Final[Mapping[str, Code]] = {
    "E0403": error(
        "forward defined twice",
        "`{name}` is defined twice in this module",
        """
        A module has one main forward; alternatives have names of their own.
        wrong: forward(x: [B]) -> [B] { ... }   forward(x: [B]) -> [B] { ... }
        right: forward(x: [B]) -> [B] { ... }   forward absorbed(x: [B]) -> [B] { ... }
        """,
    ),
    "E0404": error(
        "value never used",
        "`{name}` is never used",
        """
        A value that nothing reads is a mistake in the dataflow.  Use `_` for a result that is
        not wanted: `_, index = topk(x, k)`.
        wrong: values, index = topk(x, k)   return index
        right: _, index = topk(x, k)        return index
        """,
    ),
    "E0405": error(
        "name bound twice",
        "`{name}` already has a meaning here",
        """
        Dataflow is single-assignment: a name is bound once, and is not that of a row, param or
        let.
        wrong: y = norm(x)   y = y + x
        right: y = norm(x)   z = y + x
        """,
    ),
    "E0406": error(
        "no return",
        "`{name}` does not return a value on every path",
        """
        A forward or function ends in `return`; where an `if` decides, both sides lead to one.
        wrong: if dense { return a(x) }
        right: if dense { return a(x) } else { return b(x) }
        """,
    ),
    "E0407": error(
        "alternative forward differs",
        "forward `{name}` has not the main forward's arguments and results",
        """
        Alternative forwards evaluate the same function in another order, so that a back end may
        choose; they have the main forward's signature.
        wrong: forward(x: [B, S, dim]) ...   forward absorbed(x: [B, S, dim], n: size) ...
        right: forward(x: [B, S, dim]) ...   forward absorbed(x: [B, S, dim]) ...
        """,
    ),
    "E0408": error(
        "unknown intrinsic",
        "`{name}` is not a platform operation; known are {known}",
        """
        `as NAME` behind a result says that the body equals an operation of the platform.
        wrong: function f(x: [B]) -> [B] as fast { ... }
        right: function f(x: [B]) -> [B] { ... }
        """,
    ),
    "E0409": error(
        "`...` not in front",
        "`...` stands only at the front of a shape in dataflow",
        """
        `[..., dim]` means any number of leading dims.  Tensors, caches and later places of a
        shape have a fixed number of dims.
        wrong: forward(x: [B, ..., dim]) -> [B, dim]
        right: forward(x: [..., dim]) -> [..., dim]
        """,
    ),
    "E0411": error(
        "wrong number of arguments",
        "`{name}` takes {expected} arguments, not {found}",
        """
        The signature of each op stands in docs/language.md.
        wrong: silu(x, x)
        right: silu(x)
        """,
    ),
    "E0433": error(
        "wrong dtype of an argument",
        "`{name}` takes {expected}, not {found}",
        """
        Types of arguments say their dtype; without one it is the activation dtype.
        wrong: function f(t: i64 [B]) ...   f(x)
        right: function f(x: [B]) ...       f(x)
        """,
    ),
    "E0434": error(
        "shape variable unbound",
        "the arguments of this call do not say what {axes} is",
        """
        Each shape variable stands alone as a dim of some argument, or as the one unknown of a
        product.
        wrong: function f(x: [M × N]) -> [M, N] { ... }
        right: function f(x: [M, N]) -> [M, N] { ... }
        """,
    ),
    "E0439": error(
        "one value needed",
        "this gives {count} values; one is needed here",
        """
        Bind the results to names first: `cos, sin = rope(positions)`.
        wrong: h = x + rope(positions)
        right: cos, sin = rope(positions)   h = x + cos
        """,
    ),
    "E0440": error(
        "row is not a value",
        "`{name}` is a part or a cache row, not a value",
        """
        Parts are called; cache rows are read and written by `append`.
        wrong: norm : rmsnorm   h = x + norm
        right: norm : rmsnorm   h = x + norm(x)
        """,
    ),
    "E0441": error(
        "sides differ",
        "the two sides differ: {left} and {right}",
        """
        Where an index decides, both sides give values of the same type.
        wrong: x when layer > 0 else sum(x)
        right: x when layer > 0 else x + x
        """,
    ),
    "E0442": error(
        "nothing to call",
        "there is no op, part, map or function `{name}`",
        """
        A call names an op, a map row, a part, a function of the module, or one that the file
        defines or uses.
        wrong: sillu(x)
        right: silu(x)
        """,
    ),
    "E0443": error(
        "argument given twice",
        "`{name}` is given twice",
        """
        An argument is given by place or by name, once.
        wrong: f(x, t = x)      with   function f(t: [B])
        right: f(x)
        """,
    ),
    "E0444": error(
        "argument missing",
        "`{name}` needs {missing}",
        """
        Every argument of a forward or function is given.
        wrong: rope(x)           with   forward(x: [B], positions: i64 [B])
        right: rope(x, positions)
        """,
    ),
    "E0445": error(
        "part without a forward",
        "`{name}` cannot be called: module `{module}` has no usable forward",
        """
        A module that is called has a forward.
        wrong: module table { tensors { w : [dim] } }   table(x)
        right: module table { ... forward(x: [B]) -> [B] { ... } }
        """,
    ),
    "E0446": error(
        "repeated part does not thread",
        "`{name}` is repeated: its result must be of its first argument's type",
        """
        Calling a repeated part passes its result on as the first argument of the next.
        wrong: layers[layer] : block × n      block: forward(x: [B, S]) -> [B]
        right: layers[layer] : block × n      block: forward(x: [B, S]) -> [B, S]
        """,
    ),
    "E0447": error(
        "row is not a map",
        "`{name}` is an array, not a map: it cannot be applied",
        """
        `w : in -> out` is applied as w(x); an array `[a, b]` is read as a tensor.
        wrong: w : [dim, hidden]     w(x)
        right: w : dim -> hidden     w(x)
        """,
    ),
    "E0448": error(
        "unknown cache row",
        "there is no cache row `{name}`",
        """
        `append` takes a row of the module's `cache` section.
        wrong: cache { key : ... }   append(keys, k)
        right: cache { key : ... }   append(key, k)
        """,
    ),
    "E0449": error(
        "value does not fit the cache row",
        "`{name}` holds {expected}, growing along {along}; this is {found}",
        """
        All dims but the growing one are the row's, in the activation dtype.
        wrong: key : [B, T, heads, width] along T   append(key, rearrange(k, "b s h w -> b h s w"))
        right: key : [B, T, heads, width] along T   append(key, k)
        """,
    ),
    "E0450": error(
        "not a mixture of parts",
        "`{name}` must be a repeated part whose forward takes one tensor `[..., N]`",
        """
        The forward is evaluated on those rows of x that chose an instance, whatever their places.
        `mixture` chooses among the instances of a repeated part: experts[e] : expert × n.
        wrong: expert : swiglu               mixture(expert, x, weights, index)
        right: experts[e] : swiglu × n       mixture(experts, x, weights, index)
        """,
    ),
    "E0451": error(
        "function never exists",
        "the condition of `{name}` is never true",
        """
        The table's requirements rule the condition out.
        wrong: function f(x: [B]) -> [B] when dim == 0 { ... }
        right: function f(x: [B]) -> [B] when n_shared == 0 { ... }
        """,
    ),
    "E0457": error(
        "condition on a free function",
        "`{name}` stands outside of any module: it has no condition",
        """
        `when` refers to params, which a free function does not see.
        wrong: function f(x: [B]) -> [B] when dense { ... }      beside the model
        right: the same function inside of the module whose params it depends on
        """,
    ),
    "E0452": error(
        "statement behind a return",
        "nothing behind a `return` is evaluated",
        """
        Remove the statement, or move it in front.
        wrong: return x   y = x + 1
        right: y = x + 1   return y
        """,
    ),
    "E0453": error(
        "names and results differ",
        "{names} names for {values} results",
        """
        Each result has a name; `_` drops one.
        wrong: a, b = silu(x)
        right: a = silu(x)
        """,
    ),
    "E0454": error(
        "compile-time value bound in dataflow",
        "`{name}` is known at compile time: {advice}",
        """
        Dataflow binds tensors; what derives from params alone is a row of `let`.
        wrong: forward(...) { scale = width ** -0.5  ... }
        right: let { scale = width ** -0.5 }      function f(x: [N], scale: real) -> [N] { ... }
        """,
    ),
    "E0455": error(
        "wrong number of results",
        "{expected} results are promised, {found} returned",
        """
        The result type behind `->` lists what is returned.
        wrong: forward(x: [B]) -> [B] { return x, x }
        right: forward(x: [B]) -> (a: [B], b: [B]) { return x, x }
        """,
    ),
    "E0456": error(
        "wrong result",
        "the result must be {expected}, not {found}",
        """
        The result type behind `->` is proved on symbolic sizes.
        wrong: forward(x: [B, S]) -> [S, B] { return x }
        right: forward(x: [B, S]) -> [B, S] { return x }
        """,
    ),
    "E0459": error(
        "function in a circle",
        "functions call each other without end: {chain}",
        """
        A function stands for its body, so one that leads back to itself has no meaning.
        wrong: function f(x: [B]) -> [B] { return f(x) }
        right: function f(x: [B]) -> [B] { return silu(x) }
        """,
    ),
    "E0460": error(
        "list for an argument",
        "argument `{name}` cannot be a list",
        """
        Params are lists.  A function is given the numbers of one as a tensor.
        wrong: function f(x: [B, N], gains: reals) -> [B, N] { ... }
        right: function f(x: [B, N], gains: f32 [N]) -> [B, N] { ... }
        """,
    ),
    "E0465": error(
        "cache row grows more than once",
        "a forward of `{module}` cannot append to the cache row `{name}`: {reason}",
        """
        A step adds each new token to a cache row once, whichever way the forward takes: the row
        then holds a token at each place.  A part with a cache is called once for the same reason.
        wrong: old = slice(append(kept, x), 0, T - S)   all = append(kept, x + old)
        right: all = append(kept, x)                    old = slice(all, 0, T - S)
        """,
    ),
    "E0466": error(
        "cache row cannot hold its tokens",
        "the cache row `{name}` cannot hold the tokens of a step: {reason}",
        """
        A row holds the tokens of all steps so far: T of them with the S new ones.  All rows that a
        step appends to grow by its new tokens, along a shape variable of their own.  (Where T is S
        everywhere, the forward is given all tokens at once, and nothing is kept.)
        wrong: forward(x: [B, S, dim], more: [B, E, dim]) ...   append(key, x)  append(other, more)
        wrong: forward(tokens: i64 [B, S], mask: bool [B, S])   append(key, x)
        right: forward(tokens: i64 [B, S], mask: bool [B, T])   append(key, x)
        """,
    ),
    "E0458": error(
        "forwards disagree",
        "forward `{name}` of `{module}` does not compute what the main forward does: evaluated "
        "at small sizes they differ by {difference} of the greatest value",
        """
        Alternative forwards are one function, evaluated in another order: a back end may take
        either.  They are evaluated on random weights in 64-bit floats and compared.
        wrong: forward(x) { return up(x) }   forward other(x) { return up(x) + x }
        right: forward(x) { return up(x) + x }   forward other(x) { return x + up(x) }
        """,
    ),
    "W0405": warning(
        "forwards not compared",
        "forward `{name}` of `{module}` was not compared with the main forward",
        """
        No small sizes were found that meet the table's requirements.
        wrong: require { dim % 7168 == 0 "..." }      (no small size is left)
        right: require { dim % 64 == 0 "..." }
        """,
    ),
    "W0404": warning(
        "too many combinations",
        "`{name}` has more than {limit} combinations of conditions; the rest was not explored",
        """
        Split the module, or derive one condition from another in `let`.
        wrong: one module with ten independent flags
        right: two modules with five flags each
        """,
    ),
}
