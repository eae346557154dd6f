"""The codes E05xx to E07xx: rows, parts, modules, names, config and report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, error, warning

ROW_CODES: Final[Mapping[str, Code]] = {
    # ---- E05xx: rows ------------------------------------------------------------------
    "E0501": error(
        "row does not exist here",
        "`{name}` does not exist here: it exists only when {condition}",
        """
        A row with `when` may be used only where its condition holds.
        wrong: return routed + shared(x)
        right: return routed + shared(x) when has(shared) else routed
        """,
    ),
    "E0502": error(
        "unknown row",
        "there is no row `{name}`",
        """
        has(row) asks for a tensor or part of the module.
        wrong: x + bias when has(bais) else x
        right: x + bias when has(bias) else x
        """,
    ),
    "E0503": error(
        "unknown dtype or storage format",
        "`{name}` is neither a dtype nor a storage format",
        """
        `as` takes a dtype (bf16, f32, ...), a param of type dtype, or a storage format that the
        file uses: use std.quant { fp8_block }.
        wrong: w : dim -> dim   as bf61
        right: w : dim -> dim   as bf16
        """,
    ),
    "E0504": error(
        "dotted row without its map",
        "`{name}` adds a bias to a map row `{base}`, and there is none",
        """
        A bias belongs to a linear map, or to a row that is tied to one; an array has none.
        wrong: w : [dim, n]      w.bias : [n]
        right: w : dim -> n      w.bias : [n]
        """,
    ),
    "E0505": error(
        "shared row unknown",
        "`{name}` leads to no tensor",
        """
        `tied` and `copy` name a row by its path from here or from the model: embed.weight.
        Rows that share each other in a circle lead nowhere.
        wrong: head : tied embed.weights
        right: head : tied embed.weight
        """,
    ),
    "E0506": error(
        "cache row does not grow",
        "`{name}` must have exactly one dim `{along}`",
        """
        wrong: key : [B, heads, width] along T
        right: key : [B, T, heads, width] along T
        """,
    ),
    "E0507": error(
        "not a dtype",
        "`{name}` must be a dtype or a storage format",
        """
        The kinds maps, arrays, activations and caches each have one.
        wrong: dtypes { maps = dim }
        right: dtypes { maps = bf16 }
        """,
    ),
    "E0508": error(
        "format does not fit the row",
        "the storage format `{name}` holds a matrix: it needs params R and C, and a row of two dims",
        """
        A storage format is a module over a logical matrix [R, C].
        wrong: norm : [dim]       as fp8_block
        right: w : dim -> dim     as fp8_block
        """,
    ),
    "E0509": error(
        "unknown kind of dtype",
        "`{name}` is not a kind of value; the kinds are maps, arrays, activations and caches",
        """
        The section `dtypes` says how each of four kinds of value is held.
        wrong: dtypes { weights = bf16 }
        right: dtypes { maps = bf16  arrays = bf16 }
        """,
    ),
    "E0510": error(
        "name used twice",
        "`{name}` is a {kind} already",
        """
        Tensors, parts, cache rows and functions of a module have different names.
        wrong: tensors { gate : [dim] }   parts { gate : router }
        right: tensors { scale : [dim] }  parts { gate : router }
        """,
    ),
    "E0511": error(
        "rows overlap",
        "two rows `{name}` exist at the same time: when {first}, and when {second}",
        """
        Rows of one name are alternatives: their conditions exclude each other.
        wrong: ffn : dense when layer <= 3      ffn : sparse when layer >= 3
        right: ffn : dense when layer <  3      ffn : sparse when layer >= 3
        """,
    ),
    "E0512": error(
        "row never used",
        "the {kind} `{name}` is never used by the dataflow",
        """
        A checkpoint holds a row because the model computes with it; a row that no forward and
        no function reads is a mistake in one of the two.
        wrong: tensors { w : dim -> dim  v : [dim] }   forward(...) { return w(x) }
        right: tensors { w : dim -> dim }              forward(...) { return w(x) }
        """,
    ),
    "E0513": error(
        "bias without its row",
        "`{name}` may exist where `{base}` does not: that is there only when {condition}",
        """
        A bias is added where its map, or what is tied to one, is applied.  Without it the bias
        would be counted and stored, and nothing would read it.
        wrong: w : dim -> n when low == 0   w.bias : [n] when biased
        right: w : dim -> n when low == 0   w.bias : [n] when biased and low == 0
        """,
    ),
    "E0514": error(
        "shared row without the other",
        "`{name}` may exist where `{target}` does not: that is there only when {condition}",
        """
        `tied` and `copy` are another row's tensor.  Where there is no such row, there is nothing to
        share.
        wrong: a : dim -> n when low == 0   b : tied a
        right: a : dim -> n when low == 0   b : tied a when low == 0
        """,
    ),
    "E0515": error(
        "shared row ambiguous",
        "`{name}` stands for `{target}` of the model, and there is a `{first}` here, too",
        """
        A row that is shared itself stands for what that row shares.  Its path has to mean the same
        here: a module's own rows and parts come before those of the model.
        wrong: module block { tensors { w : dim -> dim  v : tied other } }   # other : tied w
        right: module block { tensors { u : dim -> dim  v : tied other } }
        """,
    ),
    # ---- E06xx: parts and modules ------------------------------------------------------
    "E0601": error(
        "unknown module",
        "there is no module `{name}`",
        """
        A part is an instance of a module of this file or of one that it uses.
        wrong: norm : rmsnrm
        right: norm : rmsnorm         after   use std.norm { rmsnorm }
        """,
    ),
    "E0602": error(
        "unknown parameter of a module",
        "module `{module}` has no parameter `{name}`",
        """
        Parameters that are not given are filled by name from the scope around the part.
        wrong: norm : rmsnorm(widht = dim)
        right: norm : rmsnorm(width = dim)
        """,
    ),
    "E0603": error(
        "parameter missing",
        "module `{module}` needs `{name}`, which nothing here is named",
        """
        Give it: norm : rmsnorm(width = dim), or have a param of that name.
        wrong: norm : rmsnorm                (no param is called width)
        right: norm : rmsnorm(width = dim)
        """,
    ),
    "E0604": error(
        "module contains itself",
        "modules contain each other without end: {name}",
        """
        A module must not, directly or through others, be a part of itself.
        wrong: module block { parts { next : block } }
        right: parts { layers[layer] : block × n_layers }
        """,
    ),
    "E0605": error(
        "no count",
        "how often the part is repeated is not known: {reason}",
        """
        The factor behind × is a whole number made of params and lets.  It is the same in every
        instance of the part that it stands in: an index, or what a module is given of one, is no
        count.  Alternatives of a part have counts of their own.
        wrong: layers[layer] : block × (n / 2)
        right: layers[layer] : block × n        or   require { n % 2 == 0 "..." }
        wrong: rows[k] : row × (layer + 1)
        right: rows[k] : row × 1 when layer == 0    rows[k] : row × 2 when layer > 0
        """,
    ),
    "E0606": error(
        "modules nested too deep",
        "a module inside the model has no modules of its own",
        """
        Modules stand in a file or directly in the model; those in the model see its params.
        wrong: model m { module a { module b { } } }
        right: model m { module a { }  module b { } }
        """,
    ),
    "E0607": error(
        "section of a model",
        "`{section}` belongs to a model, not to module `{module}`",
        """
        variant, config, report, sharding and dtypes describe a whole model.
        wrong: module block { variant small { } }
        right: model m { variant small { } }
        """,
    ),
    "E0608": error(
        "wrong kind of parameter",
        "`{name}` of `{module}` is a {wanted}, not a {found}",
        """
        A part gives each parameter of its module a value of the parameter's type.
        wrong: attn : attention(scale = "large")
        right: attn : attention(scale = 2.5)
        """,
    ),
    "E0609": error(
        "unknown axis of parallelism",
        "`{name}` is no axis of parallelism that divides names",
        """
        A table declares what tensor, expert and pipeline parallelism divide; data parallelism
        divides nothing of a table.
        wrong: sharding { tp over n_heads }
        right: sharding { tensor over n_heads }
        """,
    ),
    "E0610": error(
        "name cannot be divided",
        "`{name}` cannot be divided: {reason}",
        """
        An axis divides sizes and counts of the model, each once.  `along` lets a name go with one
        that the same axis divides: key/value heads with the query heads that read them.
        wrong: sharding { tensor over norm_eps, n_kv_heads along inter_dim }
        right: sharding { tensor over n_heads, n_kv_heads along n_heads }
        """,
    ),
    "E0611": error(
        "axis declared twice",
        "what `{name}` parallelism divides is declared twice",
        """
        An axis has one row in `sharding`.
        wrong: sharding { tensor over n_heads   tensor over inter_dim }
        right: sharding { tensor over n_heads, inter_dim }
        """,
    ),
    "W0612": warning(
        "default taken beside a name",
        "`{name}` of `{module}` has its default here, not the `{name}` of this module",
        """
        A part's params are given, or have their default; only those without one are filled by
        name.  Where a name stands here that a param with a default is called as well, say which
        is meant.
        wrong: params { bias : flag = false }   parts { norm : layernorm(width = dim) }
        right: parts { norm : layernorm(width = dim, bias = true) }
        """,
    ),
    # ---- E07xx: names, config, report --------------------------------------------------
    "E0701": error(
        "name of an unknown row",
        "there is no row `{name}` to name",
        """
        `names` maps the rows and parts of its own module.
        wrong: names hf { hed -> "lm_head" }
        right: names hf { head -> "lm_head" }
        """,
    ),
    "E0702": error(
        "row named twice",
        "`{name}` is named twice in one scheme",
        """
        A row has one name in a scheme.
        wrong: names hf { head -> "a"  head -> "b" }
        right: names hf { head -> "a" }
        """,
    ),
    "E0703": error(
        "braces in a name",
        'the braces in "{text}" hold no expression',
        """
        Braces in a name hold an expression of params and of the index of the repeated part.
        wrong: names hf { layers -> "model.layers.{}" }
        right: names hf { layers -> "model.layers.{layer}" }
        """,
    ),
    "E0704": error(
        "key cannot be read",
        '"{key}" is not a key of a config',
        """
        Keys are names with dots between them: "rope_scaling.factor".  A row that is only read
        may follow a repeated part by its index: "layer_types.{layer}" when read.
        wrong: config hf { dim -> "rope..dim" }
        right: config hf { dim -> "rope.dim" }
        """,
    ),
    "E0706": error(
        "two rows of one released name",
        "{rows} called `{name}` in the checkpoint",
        """
        Each stored tensor has a name of its own.  Two rows with one template, or a part whose
        template lacks its index, would read the same tensor.
        wrong: layers -> "model.layers"
        right: layers -> "model.layers.{layer}"
        """,
    ),
    "E0707": error(
        "not an arrangement",
        'behind `as` stands rearrange("..."), with sizes of axes by name',
        """
        Rows are stored as the result of the op rearrange on them: a pattern with a name for each
        axis (so no ...), and the sizes that do not follow from the rows.
        wrong: names hf { w -> "proj" as transpose("o i -> i o") }
        right: names hf { w -> "proj" as rearrange("o i -> i o") }
        """,
    ),
    "E0708": error(
        "row cannot be packed",
        "`{name}` is stored as {found}, so it cannot be part of another tensor",
        """
        Rows that are rearranged, or share a tensor, are plain tensors of their own: a storage
        format keeps scales beside the values, and a tied or copied row is another row's tensor.
        wrong: tensors { a : n -> m  as fp8_block }  names hf { a -> "a" as rearrange("o i -> i o") }
        right: tensors { a : n -> m  as bf16 }       names hf { a -> "a" as rearrange("o i -> i o") }
        """,
    ),
    "E0709": error(
        "rows do not exist together",
        "`{name}` {found}, but `{first}` {other}: a stored tensor holds all of its rows",
        """
        Rows of one stored tensor exist under the same condition, written the same way.
        wrong: tensors { a : n -> m  b : n -> m  when wide }  names hf { a, b -> "ab" }
        right: tensors { a : n -> m  b : n -> m }             names hf { a, b -> "ab" }
        """,
    ),
    "E0710": error(
        "shapes do not fit together",
        "`{name}` is {found} and cannot be {how} with `{first}`, which is {other}",
        """
        Rows without an arrangement are joined along their first dim, the outputs of a map, and
        agree in the others.  Rows with an arrangement are stacked before it: they have one shape.
        wrong: tensors { a : n -> m  b : m -> n }    names hf { a, b -> "ab" }
        right: tensors { a : n -> m  b : n -> 2×m }  names hf { a, b -> "ab" }
        """,
    ),
    "E0711": error(
        "instances differ",
        "`{name}` is not the same for every `{index}`, which its name leaves out",
        """
        A name that leaves out the index of a repeated part means one tensor in which all
        instances are stacked: all of them exist and have one shape.
        wrong: parts { up[i] : layer(width = i + 1) × n }  names hf { up.w -> "up" }
        right: parts { up[i] : layer(width = i + 1) × n }  names hf { up.w -> "up.{i}" }
        """,
    ),
    "E0712": error(
        "maps and tensors named together",
        "`{name}` is a tensor, but `{row}` is a map, whose name is only the beginning of its tensors'",
        """
        The name of a map is completed by .weight and .bias; that of a tensor is complete.
        wrong: tensors { a : n -> m  b : [m, n] }    names hf { a, b -> "ab.weight" }
        right: tensors { a : n -> m  b : [m, n] }    names hf { a.weight, b -> "ab.weight" }
        """,
    ),
    "E0713": error(
        "dtypes differ",
        "`{name}` is stored as {found}, but `{first}` as {other}",
        """
        A stored tensor has one dtype.
        wrong: tensors { a : n -> m  b : n -> m as f32 }         names hf { a, b -> "ab" }
        right: tensors { a : n -> m as f32  b : n -> m as f32 }  names hf { a, b -> "ab" }
        """,
    ),
    "E0714": error(
        "rows repeated differently",
        "`{name}` is there {found}, but `{first}` {other}",
        """
        Rows of one stored tensor that belong to parts are repeated by the same indices.
        wrong: parts { up[i] : layer × n  down : layer }       names hf { up.w, down.w -> "w" }
        right: parts { up[i] : layer × n  down[i] : layer × n }  names hf { up.w, down.w -> "w" }
        """,
    ),
    "E0715": error(
        "path of too many ways",
        "what this row names cannot be followed: {reason}",
        """
        A path through parts that have alternatives leads to each of them.
        wrong: names hf { layers.ffn.inner.core.w -> "w" }       (five alternatives at each step)
        right: module block { names hf { ffn.inner.core.w -> "w" } }
        """,
    ),
    "E0716": error(
        "spelling of names that there are none of",
        '`"{usual}" -> "{other}"` spells no name otherwise: both are whole levels of names, and a row of'
        " the model's own `names` begins with the first",
        """
        What begins with the first levels may have the second ones in a checkpoint, or none of them
        ("").  Only the model's `names` says with what complete names begin.
        wrong: names hf { embed -> "model.embed"  "modle" -> "" }
        right: names hf { embed -> "model.embed"  "model" -> "" }
        """,
    ),
    "E0705": error(
        "report of an unknown subject",
        "`{name}` is no row, part or value",
        """
        A line of a report names rows by path (layers.attn.wq), a value, or the output of a part
        (embed()).
        wrong: report en "m" { "Head" { "output" : hed } }
        right: report en "m" { "Head" { "output" : head } }
        """,
    ),
}
