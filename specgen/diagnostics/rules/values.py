"""The codes E02xx and E03xx: files that use each other, names, params, lets and variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, error

VALUE_CODES: Final[Mapping[str, Code]] = {
    # ---- E02xx: files and what they import ---------------------------------------------
    "E0201": error(
        "unknown file in `use`",
        "there is no `{path}` to use",
        """
        `use std.X` finds the blocks shipped with specgen; `use ./X` a file beside the spec,
        never one outside the spec's own folder tree.
        wrong: use std.norms { rmsnorm }
        right: use std.norm  { rmsnorm }
        """,
    ),
    "E0202": error(
        "import cycle",
        "`{path}` is being read already: the files use each other in a circle",
        """
        A file may use another only if that one does not, directly or through others, use it
        back.  Move what both need into a third file.
        wrong: one.dsv3: use ./two { b }      two.dsv3: use ./one { a }
        right: both: use ./shared { a, b }
        """,
    ),
    "E0203": error(
        "name defined twice",
        "`{name}` is defined twice in this file",
        """
        A file has one module or function of a name, its own or imported.
        wrong: module gate { }   module gate { }
        right: module gate { }   module router { }
        """,
    ),
    "E0204": error(
        "too many files",
        "this spec uses more than {limit} files",
        """
        A spec and the blocks it uses are a handful of files.
        wrong: use ./block0 { block0 }   use ./block1 { block1 }   ...
        right: use ./blocks { block0, block1 }
        """,
    ),
    "E0205": error(
        "unknown name in `use`",
        "`{path}` has no `{name}`",
        """
        The names in braces are modules and functions of the file that is used.
        wrong: use std.norm { rms_norm }
        right: use std.norm { rmsnorm }
        """,
    ),
    "E0206": error(
        "two functions of one name",
        "two different functions named `{name}` are used by this model",
        """
        Generated code has one function of a name.  Rename one of the two.
        wrong: function scale in one.dsv3 and another function scale in two.dsv3
        right: function scale in one.dsv3, function rescale in two.dsv3
        """,
    ),
    "E0207": error(
        "not one model",
        "`{name}` has {count} models; a spec has exactly one",
        """
        A spec that is built, counted or checked describes one `model`.  Files of blocks that
        others use have none, and are checked by `specgen check`.
        wrong: specgen params specs/std/norm.dsv3
        right: specgen params specs/llama.dsv3
        """,
    ),
    # ---- E03xx: names and values -------------------------------------------------------
    "E0301": error(
        "unknown name",
        "`{name}` means nothing here",
        """
        A name is a param, a let, an index, a row of the module, or a variable bound before.
        Names with a capital in the shape of an argument are shape variables; no other name
        becomes a new dimension by itself, so that a typo is never a dimension.
        wrong: tensors { w : dmi -> hidden }
        right: tensors { w : dim -> hidden }
        """,
    ),
    "E0302": error(
        "name has a meaning already",
        "`{name}` already has a meaning here",
        """
        Params, lets and indices of one module have different names, and a module inside the
        model does not reuse the model's names: each expression can be read without asking
        which of two is meant.
        wrong: params { dim : size }   let { dim = 3 }
        right: params { dim : size }   let { width = 3 }
        """,
    ),
    "E0303": error(
        "wrong kind of value",
        "`{op}` takes a {wanted} here, not a {found}",
        """
        Arithmetic takes numbers; `and`, `or`, `not`, `when` and `if` take flags and
        comparisons.
        wrong: bias : [n]   when n_heads
        right: bias : [n]   when n_heads > 1
        """,
    ),
    "E0304": error(
        "not one of the choices",
        '`{name}` is never "{value}"; it is one of {allowed}',
        """
        A comparison with a text that the param cannot have is always false.
        wrong: if score_func == "sigmod" { ... }
        right: if score_func == "sigmoid" { ... }
        """,
    ),
    "E0305": error(
        "dotted name in a size",
        "`{name}` is not a compile-time name",
        """
        Sizes and conditions are made of params and lets; rows of parts have no value there.
        wrong: tensors { w : [attn.width] }
        right: tensors { w : [head_width] }
        """,
    ),
    "E0306": error(
        "list for one value",
        "this is a list; one value is needed here",
        """
        `length(list)` is how many numbers a list has, `contains(list, n)` whether n is one of
        them; in dataflow a list is a tensor.  Two lists are not compared.
        wrong: if dense_layers == layer { ... }
        right: if contains(dense_layers, layer) { ... }
        """,
    ),
    "E0307": error(
        "unknown compile-time function",
        "`{name}` is not a function of sizes",
        """
        Compile-time functions are ceil, floor, ln, exp, sqrt, cos, sin, tanh, abs, min(a, b),
        max(a, b) and has(row).
        wrong: let { a = ciel(dim / 2) }
        right: let { a = ceil(dim / 2) }
        """,
    ),
    "E0308": error(
        "wrong number of arguments",
        "`{name}` takes {expected} arguments, not {found}",
        """
        min and max take two; the other compile-time functions take one.
        wrong: let { a = max(dim) }
        right: let { a = max(dim, 1) }
        """,
    ),
    "E0310": error(
        "param without a value",
        "`{name}` has no default, and nothing gives it a value",
        """
        Choose a variant (FILE@VARIANT), set it with -D NAME=VALUE, or give it a default.
        wrong: params { dim : size }              specgen params tiny.dsv3
        right: params { dim : size = 64 }         or   specgen params tiny.dsv3 -D dim=64
        """,
    ),
    "E0311": error(
        "requirement broken",
        "{reason}: `{condition}` does not hold",
        """
        The table states what must hold, with the reason.  The values of this variant, or those
        set by -D, break it.
        wrong: require { dim % 2 == 0 "pairs" }   and   -D dim=7
        right: require { dim % 2 == 0 "pairs" }   and   -D dim=8
        """,
    ),
    "E0312": error(
        "unknown variant",
        "`{model}` has no variant `{name}`",
        """
        The part behind @ names a `variant` of the model; so does `of` in a variant.
        wrong: specs/deepseek_v3.dsv3@671b
        right: specs/deepseek_v3.dsv3@v3_671b
        """,
    ),
    "E0313": error(
        "variants in a circle",
        "variant `{name}` extends itself",
        """
        `variant a of b` takes b's values first; b must not, through others, extend a.
        wrong: variant a of b { }   variant b of a { }
        right: variant a { }        variant b of a { }
        """,
    ),
    "E0314": error(
        "unknown param",
        "`{model}` has no param `{name}`",
        """
        A variant and -D set params of the model, not lets and not params of its modules.
        wrong: variant small { dmi = 64 }
        right: variant small { dim = 64 }
        """,
    ),
    "E0315": error(
        "value set twice",
        "`{name}` is set twice here",
        """
        Of two values one would be lost.
        wrong: variant small { dim = 64  dim = 32 }
        right: variant small { dim = 64 }
        """,
    ),
    "E0316": error(
        "value depends on itself",
        "the value of a param depends on itself: {name}",
        """
        Defaults may use other params and lets, but not in a circle.
        wrong: params { a : size = b  b : size = a }
        right: params { a : size = 8  b : size = a }
        """,
    ),
    "E0317": error(
        "no value",
        "`{name}` has no value: {reason}",
        """
        The expression divides by zero, leaves the limits on magnitude, or mixes kinds.
        wrong: params { a : size = 2 ** 2 ** 2 ** 2 ** 2 }
        right: params { a : size = 2 ** 16 }
        """,
    ),
    "E0318": error(
        "value does not fit",
        "`{name}` must be {wanted}, not {found}",
        """
        size: a whole number from 1.  count: a whole number from 0.  real: a number.  flag:
        true or false.  dtype: a dtype or a storage format.  A choice: one of its texts.
        wrong: params { heads : size = 0 }
        right: params { heads : count = 0 }
        """,
    ),
    "E0320": error(
        "let too long",
        "`{name}` written out in params has more than {limit}",
        """
        Lets may use lets, but each of them is in the end a formula of params that people read.
        wrong: let { a1 = a0 × a0  a2 = a1 × a1  ...  a20 = a19 × a19 }
        right: let { a3 = a0 ** 8 }
        """,
    ),
    "E0319": error(
        "variant defined twice",
        "variant `{name}` is defined twice",
        """
        A variant is found by its name.
        wrong: variant small { }   variant small { }
        right: variant small { }   variant smaller { }
        """,
    ),
}
