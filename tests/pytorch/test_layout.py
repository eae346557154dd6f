"""The layout of Python expressions, held against ruff's own on the same code."""

from __future__ import annotations

import ast
import shutil
import subprocess

import pytest

from specgen.backends.pytorch.layout import (
    Atom,
    Attribute,
    Binary,
    Bracketed,
    Comprehension,
    KeywordArgument,
    Node,
    Pair,
    Ternary,
    Unary,
    flat,
    lines,
)

OPERATORS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==",
    ast.GtE: ">=", ast.Gt: ">", ast.NotEq: "!=", ast.And: "and", ast.Or: "or", ast.USub: "-",
    ast.Not: "not", ast.Invert: "~",
}  # fmt: skip

#: Statements of the kinds that generated files have, all too long for one line or nearly so.
STATEMENTS = """
self.low = max(math.floor(rope_width * math.log(original_seq_len / (2 * math.pi * beta_fast)) / (2 * math.log(rope_theta))), 0)
wave = self.rope_theta ** (2 * torch.arange(self.half_, dtype=torch.float32, device=positions.device) / self.rope_width)
ramp = ((torch.arange(self.half_, dtype=torch.float32, device=positions.device) - self.low) / max(self.high - self.low, 0.001)).clamp(0, 1)
self.wkv_b = nn.Linear(config.kv_lora_rank, config.n_heads * (config.qk_nope_head_dim + config.v_head_dim), bias=False)
self.layers = nn.ModuleList(AVeryLongNameOfAClassOfALayer(config, layer, config.hidden_size) for layer in range(config.n_layers))
self.layers = nn.ModuleList(AVeryLongNameOfAClassOfALayer(config, layer) if layer % 2 == 0 else AnotherClassOfALayer(config, layer) for layer in range(config.n_layers))
attended = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=seen.unsqueeze(1), scale=scale)
first_value, second_value_of_the_two = self.a_projection(self.a_norm(residual)).split([self.first_width, self.second_width], dim=-1)
scores = torch.einsum("bshd,bthd->bhst", self.the_query_projection, a_long_name) + torch.einsum("bshr,btr->bhst", q_rope, k_rope)
moved = product_of_rows_and_a_matrix((up + 1) * gate * (gate * self.swiglu_alpha).sigmoid(), self.w2[e]) + self.w2_bias[e, None]
rows = {"latent": cache.row(cache.batch, cache.capacity, self.kv_lora_rank), "rotary": cache.row(cache.batch, cache.capacity, 64)}
x = x if self.a_condition_of_some_length and another_condition_of_some_length(fffffffffff) else ccccccccccccccccccccc
seen = (torch.arange(T, device=positions.device) < here_and_elsewhere_in_this_expression) & mask.unsqueeze(1) | every_slot
value = -self.a_projection_of_a_long_name(self.another_projection_of_a_long_name(residual_stream), residual_stream_again)
total = (self.a_projection_of_a_long_name(residual_stream_of_a_layer, b) * scale + self.another_projection(residual_stream)).sum(-1)
holds = self.n_groups == 1 or not self.gate_bias or self.n_routed_experts / self.n_groups >= 2 and self.n_limited_groups > 1
pair = (self.n_activated_experts <= self.n_limited_groups * self.n_routed_experts / self.n_expert_groups, "the kept groups must hold enough experts")
short = -(-x // y) + (a - (b - c)) * d**-e.f - -g
test = not (a and b) or c if not d else (e, f)[0]
mask = ~(aaaaaaa < bbbbb) & ccccc | ddd
other = (a if b else c) + (2).real - (1 + 2).real ** (3 * 4) ** 5
"""


def node(tree: ast.AST) -> Node:
    match tree:
        case ast.Name(id=name):
            return Atom(name)
        case ast.Constant(value=str(text)):
            return Atom(f'"{text}"')
        case ast.Constant(value=value):
            return Atom(repr(value))
        case ast.Attribute(value=value, attr=name):
            return Attribute(node(value), name)
        case ast.Call(func=function, args=[ast.GeneratorExp() as inner]):
            (loop,) = inner.generators
            target = ast.unparse(loop.target)
            return Bracketed(
                node(function), "(", (Comprehension(node(inner.elt), target, node(loop.iter)),)
            )
        case ast.Call(func=function, args=args, keywords=keywords):
            named = (KeywordArgument(str(k.arg), node(k.value)) for k in keywords)
            return Bracketed(node(function), "(", (*map(node, args), *named))
        case ast.Subscript(value=value, slice=ast.Tuple(elts=items)):
            return Bracketed(node(value), "[", tuple(map(node, items)))
        case ast.Subscript(value=value, slice=item):
            return Bracketed(node(value), "[", (node(item),))
        case ast.Tuple(elts=items):
            return Bracketed(None, "(", tuple(map(node, items)))
        case ast.List(elts=items):
            return Bracketed(None, "[", tuple(map(node, items)))
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return Bracketed(None, "{", tuple(Pair(flat(node(k)), node(v)) for k, v in pairs if k))
        case ast.BinOp(left=left, op=op, right=right):
            return Binary(OPERATORS[type(op)], node(left), node(right))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return Binary(OPERATORS[type(op)], node(left), node(right))
        case ast.BoolOp(op=op, values=[first, *rest]):
            found = node(first)
            for value in rest:
                found = Binary(OPERATORS[type(op)], found, node(value))
            return found
        case ast.UnaryOp(op=op, operand=operand):
            return Unary(OPERATORS[type(op)], node(operand))
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return Ternary(node(body), node(test), node(orelse))
    raise AssertionError(ast.dump(tree))


@pytest.mark.parametrize("statement", STATEMENTS.strip().splitlines())
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_as_ruff_would(statement: str, depth: int) -> None:
    (tree,) = ast.parse(statement).body
    assert isinstance(tree, ast.Assign)
    targets = ast.unparse(tree.targets[0]).strip("()")
    ours = lines(f"{targets} = ", node(tree.value), depth)
    nested = "".join("    " * i + "if x:\n" for i in range(depth))
    source = nested + "\n".join(ours) + "\n"
    assert ast.dump(ast.parse(source)) == ast.dump(
        ast.parse(nested + "    " * depth + statement + "\n")
    )
    ruff = shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not installed")
    command = [ruff, "format", "--isolated", "--line-length", "100", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    assert done.stdout == source
