"""The codes E10xx: configurations of released models that are imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, error, warning

CONFIGURATION_CODES: Final[Mapping[str, Code]] = {
    "E1001": error(
        "configuration cannot be read",
        "`{path}` is no configuration: {reason}",
        """
        `import` reads a config.json as Hugging Face's models have it: one JSON object in UTF-8, of a
        moderate size, each key once.  Keys that have several spellings
        (`torch_dtype` and `dtype`) must not disagree.
        wrong: {"hidden_size": 4096, "hidden_size": 2048}
        right: {"hidden_size": 4096}
        """,
    ),
    "E1002": error(
        "no table for a configuration",
        "no table fits `{path}`: {reason}",
        """
        The `config` rows of a table say which `architectures` and which `model_type` it is a table
        of.  What they say is the only list of models that there is: a family without a table
        is refused, because one that looks like it may compute something else.
        wrong: specgen import bert/config.json
        right: specgen import llama3/config.json
               specgen import mine/config.json --spec mine.dsv3
        """,
    ),
    "E1003": error(
        "key that the table cannot say",
        "`{key}` is {value}, and `{spec}` cannot say so: {reason}",
        """
        Every key of a configuration must be read by the table, or be known to change nothing.
        Another key may change what the model computes, also by null, false or 0, so that a
        count without it would be a guess.  `--ignore KEY` reads the file as if the key were not
        there, and the answer says so.  A table lists keys that its class does not read:
        `_ -> "key" when read`.
        wrong: {"model_type": "llama", "attention_sinks": 4}
        right: specgen import config.json --ignore attention_sinks
        """,
    ),
    "E1004": error(
        "key that is missing",
        "`{key}` is not there, and `{spec}` does not say what that means",
        """
        A table says of some keys what a file without them means: `10000.0 -> "rope_theta" when
        absent`.  Of the others, such as the width, every file says what it is; a default would
        be a guess.
        wrong: {"model_type": "llama", "vocab_size": 32000}
        right: specgen import config.json -D dim=4096
        """,
    ),
    "W1005": warning(
        "weights stored otherwise than the table says",
        "the weights of `{path}` are stored otherwise than its table says ({stored}): what the release"
        " stores is not counted",
        """
        A release may store its weights quantised, in a format that its table does not say.  The
        parameters are the same; the tensors and bytes of the checkpoint are not, and no figure of
        them is given.  What lists tensors (`--expand`, tensors.json, model.py) has those of the model
        as the table stores it.
        wrong: specgen formula gpt-oss-20b/config.json stored_bytes
        right: specgen formula gpt-oss-20b/config.json parameters
        """,
    ),
}
