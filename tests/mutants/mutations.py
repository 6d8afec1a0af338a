"""What is changed in the sources, one change a mutant: cosmic-ray's operators, and some of our own.

Left out, because no test could or should notice, or because any test would:
- what is not run for its value: annotations, `if TYPE_CHECKING`, what stands in a decorator's call (`frozen=True`);
- the arguments `encoding`, `help`, `metavar` and `strict`, which say aloud what is the default here, speak to a reader,
  or state what holds anyway; and `check=False`, subprocess's own default;
- arithmetic with a string literal, which only raises TypeError, and the many replacements of one operator by each of
  the others: an operator becomes its opposite or its neighbour;
- cosmic-ray's exception handlers, whose replacement is an unknown name (any exception that comes by finds it out) and
  which miss `except module.Name`: ours becomes an exception that nobody raises.
"""

import ast
import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider

_ARITHMETIC = (
    "Add_Sub Sub_Add Mul_Div Div_Mul FloorDiv_Mul Mod_FloorDiv Pow_Mul RShift_LShift LShift_RShift BitOr_BitAnd "
    "BitAnd_BitOr BitXor_BitAnd"
)
_COMPARISON = "Eq_NotEq NotEq_Eq Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt Is_IsNot IsNot_Is"
_PLAIN = (
    "AddNot ReplaceTrueWithFalse ReplaceFalseWithTrue ReplaceAndWithOr ReplaceOrWithAnd ReplaceBreakWithContinue "
    "ReplaceContinueWithBreak NumberReplacer RemoveDecorator ZeroIterationForLoop ReplaceUnaryOperator_Delete_Not "
    "ReplaceUnaryOperator_Delete_USub ReplaceUnaryOperator_Delete_Invert"
)
_BINARY_PARENTS = {"arith_expr", "term", "power", "expr", "xor_expr", "and_expr", "shift_expr"}
_STRINGS = {"string", "fstring", "strings"}
_UNJUDGED_ARGUMENTS = {"encoding", "help", "metavar", "strict"}
_OPTION = re.compile(r"""[rb]?["']--?[A-Za-z]""")


class _Replaced(Operator):  # type: ignore[misc]
    """An operator that puts other text in a node's place."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """See Operator."""
        for one, _ in self.replacements(node):
            yield one.start_pos, one.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """See Operator."""
        one, text = list(self.replacements(node))[index]
        new = get_ast(one.get_first_leaf().prefix + text)
        if one is node:
            return new
        siblings = one.parent.children
        siblings[siblings.index(one)] = new
        return node

    def replacements(self, node: Any) -> Iterator[tuple[Any, str]]:
        """The nodes to replace at or below a node, each with its replacement."""
        raise NotImplementedError

    @classmethod
    def examples(cls) -> tuple[()]:
        """The tests hold them."""
        return ()


class KeywordArgumentLeftOut(_Replaced):
    """`call(a, become=True)` becomes `call(a, **{})`."""

    def replacements(self, node: Any) -> Iterator[tuple[Any, str]]:
        """See _Replaced."""
        if node.type == "argument" and node.children[1] == "=" and _code(node) != "check=False":
            yield node, "**{}"


class OptionLeftOut(_Replaced):
    """`["pip", "--quiet"]` loses one of its words; where it cannot be left out, an option is misspelt."""

    def replacements(self, node: Any) -> Iterator[tuple[Any, str]]:
        """See _Replaced."""
        if node.type == "string":
            among = node.parent.children if node.parent.type in {"testlist_comp", "arglist"} else []
            in_list = bool(among) and node.parent.parent.children[0] == "["
            if _OPTION.match(node.value):
                yield node, "*()" if among else node.value.replace("-", "--", 1)
            elif in_list and any(one.type == "string" and _OPTION.match(one.value) for one in among):
                yield node, "*()"


class HandlerLeftOut(_Replaced):
    """`except OSError` becomes one of an exception that nobody raises."""

    def replacements(self, node: Any) -> Iterator[tuple[Any, str]]:
        """See _Replaced."""
        if node.type == "except_clause":
            caught = node.children[1]
            several = caught.type == "atom" and caught.children[1].type == "testlist_comp"
            for one in caught.children[1].children[::2] if several else [caught]:
                yield one, "StopAsyncIteration"


class InBecomesNotIn(_Replaced):
    """`a in b` becomes `a not in b`, and the other way round."""

    def replacements(self, node: Any) -> Iterator[tuple[Any, str]]:
        """See _Replaced."""
        if node.type == "comparison":
            for one in node.children[1::2]:
                if (said := " ".join(_code(one).split())) in ("in", "not in"):
                    yield one, "not in" if said == "in" else "in"


def _operators() -> dict[str, Operator]:
    core = OperatorProvider()
    names = [f"ReplaceBinaryOperator_{one}" for one in _ARITHMETIC.split()]
    names += [f"ReplaceComparisonOperator_{one}" for one in _COMPARISON.split()]
    own = (KeywordArgumentLeftOut, OptionLeftOut, HandlerLeftOut, InBecomesNotIn)
    return {**{name: core[name]() for name in [*names, *_PLAIN.split()]}, **{one.__name__: one() for one in own}}


OPERATORS = _operators()


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of one file.

    Attributes:
        path: the file, relative to the project.
        line, column: where the change begins, lines from 1.
        operator: its name in OPERATORS.
        occurrence: which of the operator's places in the file it is, from 0.
    """

    path: str
    line: int
    column: int
    operator: str
    occurrence: int

    def apply(self, source: str) -> str | None:
        """The changed source; None where the change is none, or no Python."""
        changed = mutate_code(source, OPERATORS[self.operator], self.occurrence)
        try:
            return changed if changed and ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)) else None
        except SyntaxError:
            return None


def mutants(path: str, source: str) -> Iterator[Mutant]:
    """All mutants of a file; some of them may turn out to be none when they are applied."""
    nodes = list(ast_nodes(get_ast(source)))
    for name, operator in OPERATORS.items():
        occurrence = 0
        for node in nodes:
            for (line, column), _ in operator.mutation_positions(node):
                if not _meaningless(node, name):
                    yield Mutant(path, line, column, name, occurrence)
                occurrence += 1


def difference(source: str, changed: str) -> str:
    """What a mutant changes, in one line: the old text and the new, without what they share around it."""
    before, after = source.splitlines(), changed.splitlines()
    lines = [one for one in difflib.unified_diff(before, after, n=0, lineterm="") if one[:3] not in ("---", "+++")]
    removed = " ".join(one[1:].strip() for one in lines if one[0] == "-")
    added = " ".join(one[1:].strip() for one in lines if one[0] == "+")
    return f"{removed}  ->  {added or 'nothing'}"


def _meaningless(node: Any, operator: str) -> bool:
    if operator.startswith("ReplaceBinaryOperator"):
        among = node.parent.children
        if node.parent.type not in _BINARY_PARENTS or any(one.type in _STRINGS or one == "None" for one in among):
            return True
    if node.type == "if_stmt" and _code(node.children[1]) == "TYPE_CHECKING":
        return True
    child, parent = node, node.parent
    while parent is not None:
        if _unjudged(child, parent):
            return True
        child, parent = parent, parent.parent
    return _named(node) in _UNJUDGED_ARGUMENTS


def _unjudged(child: Any, parent: Any) -> bool:
    """Whether a part of a node is not run for its value."""
    siblings = parent.children
    position = siblings.index(child)
    if parent.type == "annassign":
        return bool(position == 1)
    if parent.type == "tfpdef":
        return bool(position > 1)
    if parent.type == "funcdef":
        return bool(siblings[position - 1] == "->")
    if parent.type == "if_stmt":
        return bool(_code(siblings[1]) == "TYPE_CHECKING" and position in (1, 3))
    return parent.type == "decorator" or _named(parent) in _UNJUDGED_ARGUMENTS


def _named(node: Any) -> str:
    """The name of a keyword argument, or nothing."""
    return str(node.children[0].value) if node.type == "argument" and node.children[1] == "=" else ""


def _code(node: Any) -> str:
    return str(node.get_code(include_prefix=False))
