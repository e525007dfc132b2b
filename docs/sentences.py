"""Reads in the source which sentences each kind of error can say, without running anything.

A sentence is the first argument of an error where it is made. Names, conditions and helper
functions are followed as far as the source of this repository tells; what only a running machine
knows is written as an ellipsis.
"""

import ast
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from docs.syntax import Function, argument_of, assignments, called, reaching

ROOT = Path(__file__).parent.parent
PACKAGES = ("appliance", "dicom_node", "anonymizer", "inference", "tui")
BASE = "ApplianceError"
UNKNOWN = "…"
MOST = 12
DEEPEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorClass:
    """One class of errors; without a code of its own it has that of its base."""

    name: str
    base: str
    code: str | None
    next_step: bool
    """Whether it says a next step of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Module:
    """One file of source."""

    path: Path
    tree: ast.Module
    functions: dict[str, list[Function]] = field(default_factory=dict)
    """Every function and method, by its name."""
    calls: list[tuple[Function | None, ast.Call]] = field(default_factory=list)
    """Every call, with the function that it stands in."""


class Source:
    """All source of the packages, and what its sentences are."""

    def __init__(self, root: Path = ROOT) -> None:
        files = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
        self.modules = [Module(path, ast.parse(path.read_text("utf-8"))) for path in files]
        self.calls: dict[str, list[tuple[Module, Function | None, ast.Call]]] = {}
        self._constants: dict[str, list[ast.expr]] = {}
        for module in self.modules:
            for name, value in assignments(module.tree.body):
                self._constants.setdefault(name, []).append(value)
            self._index(module, module.tree, None)

    def _index(self, module: Module, node: ast.AST, inside: Function | None) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                self.calls.setdefault(called(child), []).append((module, inside, child))
                module.calls.append((inside, child))
            if isinstance(child, Function):
                module.functions.setdefault(child.name, []).append(child)
            self._index(module, child, child if isinstance(child, Function) else inside)

    def said(self, maker: str, argument: str = "") -> list[str]:
        """Give every sentence that is handed to a class or function, sorted, each once.

        Parameters
        ----------
        maker
            Name of the class or function.
        argument
            Name of the argument; the first one when it is empty.
        """
        rows = self.said_together(maker, argument)
        texts = {text for [column] in rows for text in column}
        return sorted(text for text in texts if text.strip(f"{UNKNOWN} .:,"))

    def said_together(self, maker: str, *arguments: str) -> list[list[list[str]]]:
        """Give the texts of several arguments of each call, a column of texts for each argument."""
        rows = []
        for module, inside, call in self.calls.get(maker, []):
            nodes = [argument_of(call, 0, argument) for argument in arguments]
            found = [self._resolved(node, module, inside, 0) for node in nodes if node is not None]
            if len(found) == len(arguments):
                rows.append([sorted(set(map(_tidy, texts))) for texts in found])
        return rows

    def _resolved(
        self, node: ast.expr, module: Module, inside: Function | None, depth: int
    ) -> list[str]:
        """Give the texts that an expression may have."""
        if depth > DEEPEST:
            return [UNKNOWN]

        def each(parts: Iterable[ast.expr]) -> list[list[str]]:
            return [self._resolved(part, module, inside, depth + 1) for part in parts]

        match node:
            case ast.Constant(value=str(text)):
                found = [text]
            case ast.JoinedStr(values=parts):
                found = _joined(each(parts))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                found = _joined(each((left, right)))
            case ast.IfExp(body=yes, orelse=no) | ast.BoolOp(values=[yes, no]):
                found = list(itertools.chain(*each((yes, no))))
            case ast.FormattedValue(value=inner):
                # A lone word is a name or a number, which another machine has otherwise.
                [texts] = each((inner,))
                found = [text if " " in text or not text else UNKNOWN for text in texts]
            case _:
                found = self._looked_up(node, module, inside, depth + 1)
        return found

    def _looked_up(
        self, node: ast.expr, module: Module, inside: Function | None, depth: int
    ) -> list[str]:
        """Give the texts of a name, a call or one of a table."""
        match node:
            case ast.Name():
                return self._named(node, module, inside, depth)
            case ast.Call():
                return self._returned(node, module, inside, depth)
            case ast.Subscript(value=ast.Name(id=name)):
                return self._of_table(name, module, inside, depth)
            case ast.Attribute(attr=name):
                return self._of_field(name, module, depth)
            case _:
                return [UNKNOWN]

    def _named(
        self, node: ast.Name, module: Module, inside: Function | None, depth: int
    ) -> list[str]:
        """Give the texts of a name: assigned here, handed over by a caller, or a constant."""
        name = node.id
        if inside is not None:
            values = reaching(inside.body, name, node.lineno)
            if values:
                return [t for one in values for t in self._resolved(one, module, inside, depth)]
            names = [argument.arg for argument in (*inside.args.args, *inside.args.kwonlyargs)]
            if name in names:
                return self._handed(name, inside, depth)
        values = [value for found, value in assignments(module.tree.body) if found == name]
        values = values or self._constants.get(name, [])
        if len(values) != 1:
            return [UNKNOWN]
        return self._resolved(values[0], module, None, depth)

    def _handed(self, name: str, function: Function, depth: int) -> list[str]:
        """Give the texts that callers hand to a parameter, where its function is called by name."""
        names = [argument.arg for argument in function.args.args]
        place = names.index(name) if name in names else -1
        place -= names[:1] in (["self"], ["cls"])
        found: list[str] = []
        for module, inside, call in self.calls.get(function.name, []):
            node = argument_of(call, place, name)
            here = function in module.functions.get(function.name, [])
            if isinstance(call.func, ast.Attribute) and not here:
                continue  # a method of something else may have the same name
            if node is not None and inside is not function:
                found.extend(self._resolved(node, module, inside, depth + 1))
        return list(dict.fromkeys(found)) or [UNKNOWN]

    def _returned(
        self, call: ast.Call, module: Module, inside: Function | None, depth: int
    ) -> list[str]:
        """Give the texts that a function of the same file returns."""
        name = called(call)
        if name in {"join", "dedent"}:
            return [UNKNOWN]
        if name in {"format", "strip", "capitalize"} and isinstance(call.func, ast.Attribute):
            texts = self._resolved(call.func.value, module, inside, depth)
            return [_without_fields(text) for text in texts]
        found: list[str] = []
        for function in module.functions.get(name, []):
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None:
                    found.extend(self._resolved(node.value, module, function, depth + 1))
        return list(dict.fromkeys(found)) or [UNKNOWN]

    def _of_table(
        self, name: str, module: Module, inside: Function | None, depth: int
    ) -> list[str]:
        """Give the texts of a table, one of which is picked."""
        bodies = [*(inside.body if inside else []), *module.tree.body]
        for found, value in assignments(bodies):
            table = value.args[0] if isinstance(value, ast.Call) and value.args else value
            if found == name and isinstance(table, ast.Dict):
                return [t for v in table.values for t in self._resolved(v, module, inside, depth)]
        return [UNKNOWN]

    def _of_field(self, name: str, module: Module, depth: int) -> list[str]:
        """Give the texts of a field, as far as values are made in the same file."""
        found: list[str] = []
        for inside, call in module.calls:
            node = argument_of(call, -1, name)
            if node is not None:
                found.extend(self._resolved(node, module, inside, depth + 1))
        return list(dict.fromkeys(found)) or [UNKNOWN]

    def error_classes(self) -> dict[str, ErrorClass]:
        """Give every class of errors by its name, bases before what is derived of them."""
        every: dict[str, ErrorClass] = {}
        for module in self.modules:
            for body in module.tree.body:
                if isinstance(body, ast.ClassDef):
                    every.setdefault(body.name, _error_class(body))
        found = {BASE: every[BASE]}
        while more := {
            name: one for name, one in every.items() if one.base in found and name not in found
        }:
            found.update(more)
        return found


def code_of(name: str, classes: dict[str, ErrorClass]) -> str:
    """Give the code of a class, or of the base that it takes it from."""
    one = classes[name]
    return one.code or code_of(one.base, classes)


def _error_class(node: ast.ClassDef) -> ErrorClass:
    values = dict(assignments(node.body))
    code = values.get("code")
    return ErrorClass(
        name=node.name,
        base=node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else "",
        code=code.value if isinstance(code, ast.Constant) else None,
        next_step="next_step" in values,
    )


def _joined(choices: list[list[str]]) -> list[str]:
    """Put parts behind each other in every way, or in one where there are too many."""
    found = ["".join(texts) for texts in itertools.islice(itertools.product(*choices), MOST + 1)]
    if len(found) <= MOST:
        return found
    return ["".join(texts[0] if len(texts) == 1 else UNKNOWN for texts in choices)]


def _tidy(text: str) -> str:
    """Write what is not known once in a row, and at the front where a name is missing."""
    text = re.sub(f"{UNKNOWN}+", UNKNOWN, text.replace("  ", f" {UNKNOWN} "))
    return f"{UNKNOWN}{text}" if text.startswith((":", ",", " ")) else text


def _without_fields(text: str) -> str:
    """Put an ellipsis for each field of a format string."""
    return re.sub(r"\{[^{}]*\}", UNKNOWN, text)
