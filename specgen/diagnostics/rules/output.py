"""The codes E09xx: targets and the folders that a build writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from specgen.diagnostics.rules.code import Code, error

OUTPUT_CODES: Final[Mapping[str, Code]] = {
    "E0901": error(
        "folder cannot be written",
        "cannot write `{path}`: {reason}",
        """
        The system refused: no permission, no space, or a file in the way.  What the folder held
        before is still there, whole.
        wrong: specgen build llama@llama3_8b -o /
        right: specgen build llama@llama3_8b -o ~/generated
        """,
    ),
    "E0902": error(
        "folder is not specgen's",
        "`{path}` is not replaced, because {reason}",
        """
        A build replaces its folder as a whole.  It only does so with a folder that it wrote
        itself, whose manifest.json lists every file in it; nothing of yours is ever deleted.
        wrong: keep notes.txt inside generated/llama/llama3_8b
        right: keep it beside that folder, or build somewhere else with `-o`
        """,
    ),
    "E0908": error(
        "written file was edited",
        "`{path}` is not replaced: edited since it was built: {files}",
        """
        The manifest says what each file was when it was written; these hold something else, which
        a build would lose.  `build --check` shows how they differ.
        wrong: edit generated/llama/llama3_8b/model.py, and build again
        right: copy it to where your code is; or  specgen build llama@llama3_8b --force
        """,
    ),
    "E0903": error(
        "target needs a forward",
        "target `{target}` needs a forward, and `{spec}` has none: it is a pure table",
        """
        A table without a forward can be counted, reported and compared, but it does not say how
        its tensors are used, so there is no program to write.
        wrong: specgen build dsv3_table --target pytorch
        right: specgen build dsv3_table                     (everything that such a table allows)
        """,
    ),
    "E0904": error(
        "folder cannot be read",
        "cannot compare with `{path}`: {reason}",
        """
        `build --check` reads the folder that a build would replace, and the system refused.
        wrong: specgen build llama@llama3_8b --check -o /read-only/generated
        right: specgen build llama@llama3_8b --check -o generated
        """,
    ),
    "E0905": error(
        "target cannot express the table",
        "target `{target}` cannot express this table: {reason}",
        """
        The table is well-formed, but the target's own language lacks something that it needs.
        Other targets may still have it.
        wrong: a mixture whose experts have different widths, as one ONNX graph
        right: the same table as PyTorch, or experts of one width
        """,
    ),
    "E0906": error(
        "checkpoint cannot be used",
        "the checkpoint `{path}` cannot be used: {reason}",
        """
        `build --checkpoint` points into the safetensors files of a folder: those that
        model.safetensors.index.json lists, else model.safetensors, else all of them.  Each must
        be whole, and a file itself: runtimes follow no link, and the folders of a hub's cache
        consist of links.
        wrong: specgen build llama@llama3_8b --checkpoint ~/.cache/huggingface/hub/.../snapshots/8cde5ca
        right: hf download meta-llama/Meta-Llama-3-8B --local-dir llama3
               specgen build llama@llama3_8b --checkpoint llama3
        """,
    ),
    "E0907": error(
        "checkpoint does not fit",
        "the checkpoint `{path}` is not one of `{spec}`: {count} tensors are not as it has them",
        """
        Every tensor of the table must be in the checkpoint, with its shape, and nothing else may be.
        The dtype may be another of f32, f16 and bf16, which a graph casts without loss.  Tensors
        that the table does without are named with `--ignore`; where storage differs, the
        table usually has a parameter for it.
        wrong: specgen build llama@llama3_8b --checkpoint llama32_1b
        right: specgen build llama@llama32_1b --checkpoint llama32_1b
               specgen build deepseek_v3@v3_671b --checkpoint v3 --ignore "model.layers.61.*"
        """,
    ),
}
