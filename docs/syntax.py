"""Looks things up in the syntax tree of Python: what a name is set to, what is called with what."""

import ast
from collections.abc import Iterable, Iterator, Sequence

Function = ast.FunctionDef | ast.AsyncFunctionDef
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def assignments(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    """Give what names are set to in a body, in branches and loops too."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                yield name, value
            case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                continue
            case _:
                for field in BLOCKS:
                    yield from assignments(getattr(statement, field, []))


def reaching(body: Sequence[ast.stmt], name: str, line: int) -> list[ast.expr]:
    """Give what a name may have been set to when a line is reached, the nearest before it."""
    for statement in reversed(body):
        if statement.lineno <= line <= (statement.end_lineno or line):
            for block in _blocks(statement):
                if found := reaching(block, name, line):
                    return found
            continue
        found = [value for set_to, value in assignments([statement]) if set_to == name]
        if found and statement.lineno < line:
            return found
    return []


def _blocks(statement: ast.AST) -> Iterator[list[ast.stmt]]:
    """Give the bodies of a compound statement."""
    for field in BLOCKS:
        block = getattr(statement, field, [])
        if block and isinstance(block[0], ast.stmt):
            yield block
        else:
            for branch in block:
                yield from _blocks(branch)


def called(call: ast.Call) -> str:
    """Give the name of what is called, without what it belongs to."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def argument_of(call: ast.Call, place: int, name: str) -> ast.expr | None:
    """Find an argument by its keyword, or else by its place."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[place] if 0 <= place < len(call.args) else None
