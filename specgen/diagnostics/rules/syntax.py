"""E01xx: the file and its syntax."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, error

SYNTAX_CODES: Final[Mapping[str, Code]] = {
    "E0101": error(
        "file cannot be read",
        "cannot read `{path}`: {reason}",
        """
        The file does not exist, is a folder, or may not be read.
        wrong: specgen check specs/deepseek.dsv3      (there is no such file)
        right: specgen check specs/deepseek_v3.dsv3
        """,
    ),
    "E0102": error(
        "file too large",
        "`{path}` has {size} bytes; a spec may have at most {limit}",
        """
        A spec is a table that people read; the released ones have about 20 kB.  Larger files
        are refused before they are read, because they are something else given by mistake.
        wrong: specgen check model-00001-of-000163.safetensors
        right: specgen verify specs/deepseek_v3.dsv3 model-00001-of-000163.safetensors
        """,
    ),
    "E0103": error(
        "file is not text",
        "`{path}` is not UTF-8 text: {reason}",
        """
        Specs are UTF-8; a byte order mark is accepted, NUL bytes are not.  The message names
        the byte at which decoding failed.
        wrong: a file saved as GB18030, Latin-1 or UTF-16
        right: the same file saved as UTF-8
        """,
    ),
    "E0104": error(
        "language edition",
        "{problem}",
        """
        A spec opens with the edition of the language that it is written in, so that later
        editions can change the language without changing what old files mean.
        wrong: model tiny { }
        right: language 1
               model tiny { }
        """,
    ),
    "E0105": error(
        "unexpected text",
        "expected {expected}, found {found}",
        """
        The text does not fit the grammar here.  The row it stands in is left out and reading
        goes on with the next row, so that all faults of a file are found in one run.
        wrong: dim : size 7168
        right: dim : size = 7168
        """,
    ),
    "E0106": error(
        "bracket not closed",
        "`{bracket}` is never closed",
        """
        Every `{`, `(` and `[` needs its counterpart.  The second place shown is the first one
        that cannot stand inside the bracket.
        wrong: params { dim : size = 64
               let { half = dim / 2 }
        right: params { dim : size = 64 }
               let { half = dim / 2 }
        """,
    ),
    "E0107": error(
        "bracket not opened",
        "`{bracket}` closes nothing",
        """
        A closing bracket without an opening one, often left over from an edit.
        wrong: let { half = (dim + 1)) / 2 }
        right: let { half = (dim + 1) / 2 }
        """,
    ),
    "E0108": error(
        "character outside the language",
        "{found} is not part of the language{meant}",
        """
        Outside texts and comments a spec is ASCII, with `×` as the one exception.  Full-width
        punctuation, typographic quotes and dashes, and operators of other languages look right
        but are different characters.
        wrong: heads ： size = 128 − 64
        right: heads : size = 128 - 64
        """,
    ),
    "E0109": error(
        "text not closed",
        'this text has no closing `"` on its line',
        """
        Texts stand between double quotes on one line; there are no escapes, so a text holds
        any character but `"` and the end of the line.
        wrong: dim : size "hidden size
        right: dim : size "hidden size"
        """,
    ),
    "E0110": error(
        "malformed number",
        "`{text}` is not a number: {reason}",
        """
        Numbers are written 61, 163_840, 0.707, 1e-6.  A whole number has at most 30 digits,
        a decimal point stands between digits, and a name cannot start with a digit.  A real is
        up to about 1.8e308 and, if it is not 0, no nearer to it than about 5e-324.
        wrong: norm_eps : real = 1.e-6
        right: norm_eps : real = 1.0e-6
        """,
    ),
    "E0111": error(
        "reserved word used as a name",
        "`{word}` is a word of the language and cannot be a name",
        """
        The words that build the language are reserved everywhere, so that a missing bracket is
        noticed at the next section and not at the end of the file.
        wrong: tensors { cache : [dim] }
        right: tensors { cache_ : [dim] }
        """,
    ),
    "E0112": error(
        "unknown section",
        "there is no section `{word}`",
        """
        A module consists of the sections params, let, require, dtypes, tensors, parts, cache,
        forward, names, config, report, variant, module and function, and of nothing else.
        wrong: param { dim : size }
        right: params { dim : size }
        """,
    ),
    "E0113": error(
        "nested too deeply",
        "{what} nests more than {limit} deep here",
        """
        Brackets nest at most 64 deep and expressions at most 200 operators.  Real tables stay
        below ten; a deeper one is generated by mistake.
        wrong: a + (b + (c + (d + ...)))
        right: let { rest = c + d }   and then   a + b + rest
        """,
    ),
    "E0114": error(
        "file too long",
        "there can be at most {limit} {what}; here are more",
        """
        The longest released table has under ten thousand words and signs.  Layers and experts
        are written once, with a multiplicity, and not one by one.
        wrong: layer0 : block  layer1 : block  layer2 : block  ...
        right: layers[layer] : block × n_layers
        """,
    ),
    "E0115": error(
        "too many faults",
        "too many faults: what follows was not looked at",
        """
        After a hundred syntax faults, or five hundred of all kinds, the search for more stops.
        Is this file a spec?
        wrong: specgen check README.md
        right: specgen check specs/llama.dsv3
        """,
    ),
    "E0116": error(
        "argument given by place",
        "{problem}",
        """
        Parameters of parts and formats are given by name, because a table's columns have
        names.  In a call, arguments by place come before arguments by name.
        wrong: norm : rmsnorm(dim)
        right: norm : rmsnorm(width = dim)
        """,
    ),
    "E0117": error(
        "wrong sign between name and value",
        "expected `{expected}` after {what}, found `{found}`",
        """
        `:` says what a row is, `=` gives a value.  Rows of params, tensors, parts, cache and
        report have `:`; rows of let, dtypes and variant, statements and arguments have `=`.
        wrong: let { half : dim / 2 }
        right: let { half = dim / 2 }
        """,
    ),
    "E0118": error(
        "written as in another language",
        "`{found}` is not written so here: {meant}",
        """
        Some things are written differently from what a programmer's fingers expect.
        wrong: heads if grouped else 1     a && b     x // 2     2 ^ n   block x 4
        right: heads when grouped else 1   a and b    floor(x / 2)   2 ** n   block × 4
        """,
    ),
    "E0119": error(
        "definitions too long a way down",
        "the definitions of `{name}` lead to one another further than can be followed",
        """
        Params, lets, parts and functions may build on one another some hundred steps deep.
        Real tables take ten; a chain of thousands is generated by mistake.
        wrong: let { x1 = x0 + 1  x2 = x1 + 1  ...  x5000 = x4999 + 1 }
        right: let { x5000 = x0 + 5000 }
        """,
    ),
}
