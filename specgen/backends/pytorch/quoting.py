"""How names and texts of a table enter generated Python: the only way in.

Texts go through `quote`, and names through `variable`, `attribute`, `function_name` or
`class_name`.  Knows no IR.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Mapping
from typing import Final

#: Everything that `nn.Module` defines; a parameter called `half` must not hide `Module.half`.
MODULE_ATTRIBUTES: Final = """
T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl
_compiled_call_impl _forward_hooks _forward_hooks_always_called _forward_hooks_with_kwargs
_forward_pre_hooks _forward_pre_hooks_with_kwargs _get_backward_hooks
_get_backward_pre_hooks _get_name _is_full_backward_hook _load_from_state_dict
_load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook
_modules _named_members _non_persistent_buffers_set _parameters
_register_load_state_dict_pre_hook _register_state_dict_hook _replicate_for_data_parallel
_save_to_state_dict _slow_forward _state_dict_hooks _state_dict_pre_hooks _version
_wrapped_call_impl add_module apply bfloat16 buffers call_super_init children compile cpu
cuda double dump_patches eval extra_repr float forward get_buffer get_extra_state
get_parameter get_submodule half ipu load_state_dict modules mtia named_buffers
named_children named_modules named_parameters parameters register_backward_hook
register_buffer register_forward_hook register_forward_pre_hook
register_full_backward_hook register_full_backward_pre_hook
register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
register_parameter register_state_dict_post_hook register_state_dict_pre_hook
requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty train
training type xpu zero_grad
"""

#: Attributes and methods that generated classes have beside those of the table.
OWN_ATTRIBUTES: Final = """
config form main expert cache_rows new_cache load_checkpoint save_checkpoint reset_parameters
"""

#: Python's functions; listed, so that the file does not depend on the Python that writes it.
BUILTINS: Final = """
abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod
compile complex delattr dict dir divmod enumerate eval exec filter float format frozenset
getattr globals hasattr hash hex id input int isinstance issubclass iter len list locals map max
memoryview min next object oct open ord pow print property range repr reversed round set setattr
slice sorted staticmethod str sum super tuple type vars zip
"""

#: What the bodies of functions refer to, beside builtins.
BODY_NAMES: Final = """
self cache config e F nn math torch Tensor checkpoints last linear_rows mixture
placed placed_alone placed_alone_with_mask placed_with_mask begin shaped_mask shapes traceable
"""

#: What stands at the top of the files; a test holds it against the runtime.
FILE_NAMES: Final = """
CACHED NARROW FLAGS TEXTS TUPLES LITERALS require check_values check_tokens masked attend CacheRow Cache Caches Step copy lay_out
Checkpointed main greedy greedy_without_cache counted load save shards planned Checkpoint spell
differences usual_names is_besides once safe shortened Stored stored_tensors as_they_are in_dtype
paired FOURS WHOLES called numbered instances stored_copies joined rearranged OTHERS HALVES widened narrowed scaled Kind
INDEX FLOATS Format Packed Packing NAMES DTYPES FORMATS PACKED WHERE NUMBERS COPIES RESPELLINGS
BESIDES Callable Sequence dataclass Path Any Literal fields Iterator SourceFileLoader
ModuleType argparse sys json re fnmatchcase commonprefix TemporaryDirectory
SafetensorError safe_open save_file Mapping NamedTuple annotations OSError ValueError ImportError
FileNotFoundError ModuleNotFoundError Config Model
"""


def families(*names: str) -> dict[str, int]:
    """Reserved names without underscores at the end, and how many of those they have at most."""
    found: dict[str, int] = {}
    for name in names:
        bare = name.rstrip("_")
        found[bare] = max(found.get(bare, 0), len(name) - len(bare))
    return found


VARIABLES: Final = families(*keyword.kwlist, *BUILTINS.split(), *BODY_NAMES.split())
ATTRIBUTES: Final = families(*keyword.kwlist, *MODULE_ATTRIBUTES.split(), *OWN_ATTRIBUTES.split())
GLOBALS: Final = VARIABLES | families(*FILE_NAMES.split())


def variable(name: str, taken: Collection[str] = ()) -> str:
    """An argument, a variable or a field of Config; `taken` are the functions in sight."""
    return escaped(name, VARIABLES, taken)


def attribute(name: str, taken: Collection[str] = ()) -> str:
    """A part, a row or a method of a class; or a param, `taken` what the class has of the others."""
    return escaped(name, ATTRIBUTES, taken)


def function_name(name: str) -> str:
    """A function at the top of the file."""
    return escaped(name, GLOBALS, ())


def escaped(name: str, reserved: Mapping[str, int], taken: Collection[str]) -> str:
    """The Python name of a table's name; different names stay different.

    A reserved or taken name gets one more underscore than any reserved name of its family, and
    so does every name that differs from it in underscores at the end alone.  Names that open
    with two underscores, which Python mangles or gives a meaning, end in three.
    """
    if name.startswith("__"):
        return name + "___"
    bare = name.rstrip("_")
    own = families(*taken) if taken else {}
    if bare in reserved or bare in own:
        return name + "_" * (1 + max(reserved.get(bare, 0), own.get(bare, 0)))
    return name


def class_name(name: str, title: str = "") -> str:
    """A module's name in CamelCase, its words spelt as the title spells them.

    `mtp_head` with the title "Multi-token prediction (MTP)" is `MTPHead`; different names may meet.
    """
    spelt = {word.lower(): word for word in reversed(re.findall("[A-Za-z0-9]+", title))}
    words = (spelt.get(word.lower(), word) for word in name.split("_"))
    camel = "".join(word[:1].upper() + word[1:] for word in words)
    return escaped(camel if camel[:1].isalpha() else f"Module{camel}", GLOBALS, ())


def quote(text: str) -> str:
    """A text of the table, harmless on one line in a comment, a docstring or a string literal.

    Backslashes and double quotes are escaped, and so is every character that ends a line,
    changes the direction of writing, or cannot be seen; letters of any script stay as they are.
    """
    return "".join(quoted(character, '\\"') for character in text)


def quoted(character: str, escaped: str) -> str:
    if character in escaped:
        return "\\" + character
    if character == " " or (character.isprintable() and not character.isspace()):
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def literal(text: str) -> str:
    """A string literal whose value is the text, in the quotes that need the fewest escapes."""
    if '"' in text and "'" not in text:
        return "'" + "".join(quoted(character, "\\'") for character in text) + "'"
    return f'"{quote(text)}"'
