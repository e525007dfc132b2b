"""Reads in the source which sentences each kind of error can say, without running anything.

A sentence is the first argument of an error where it is made. Names, conditions and helper
functions are followed as far as the source of this repository tells; what only a running machine
knows is written as an ellipsis.
"""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("appliance", "dicom_node", "anonymizer", "inference", "tui")
BASE = "ApplianceError"
UNKNOWN = "…"
MOST = 12
DEEPEST = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorClass:
    """One class of errors; without a code of its own it has that of its base."""

    name: str
    base: str
    code: str | None
    next_step: bool
    """Whether it says a next step of its own."""


@dataclass(frozen=True, slots=True)
class Module:
    """One file of source."""

    path: Path
    tree: ast.Module

    def functions(self) -> Iterator[Function]:
        """Give every function and method."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))


class Source:
    """All source of the packages, and what its sentences are."""

    def __init__(self, root: Path = ROOT) -> None:
        files = sorted(path for package in PACKAGES for path in (root / package).rglob("*.py"))
        self.modules = [Module(path, ast.parse(path.read_text("utf-8"))) for path in files]
        self.calls: dict[str, list[tuple[Module, Function | None, ast.Call]]] = {}
        self._constants: dict[str, list[ast.expr]] = {}
        for module in self.modules:
            for name, value in _assignments(module.tree.body):
                self._constants.setdefault(name, []).append(value)
            self._index(module, module.tree, None)

    def _index(self, module: Module, node: ast.AST, inside: Function | None) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                self.calls.setdefault(_called(child), []).append((module, inside, child))
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
        found: set[str] = set()
        for module, inside, call in self.calls.get(maker, []):
            node = _argument(call, 0, argument)
            if node is not None:
                found.update(map(_tidy, self._resolved(node, module, inside, 0)))
        return sorted(text for text in found if text.strip(f"{UNKNOWN} .:,"))

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
            case ast.Name(id=name):
                return self._named(name, module, inside, depth)
            case ast.Call():
                return self._returned(node, module, inside, depth)
            case ast.Subscript(value=ast.Name(id=name)):
                return self._of_table(name, module, inside, depth)
            case _:
                return [UNKNOWN]

    def _named(self, name: str, module: Module, inside: Function | None, depth: int) -> list[str]:
        """Give the texts of a name: assigned here, handed over by a caller, or a constant."""
        if inside is not None:
            values = [value for found, value in _assignments(inside.body) if found == name]
            if values:
                return [t for one in values for t in self._resolved(one, module, inside, depth)]
            names = [argument.arg for argument in (*inside.args.args, *inside.args.kwonlyargs)]
            if name in names:
                return self._handed(name, inside, depth)
        values = [value for found, value in _assignments(module.tree.body) if found == name]
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
            node = _argument(call, place, name)
            here = any(one is function for one in module.functions())
            if isinstance(call.func, ast.Attribute) and not here:
                continue  # a method of something else may have the same name
            if node is not None and inside is not function:
                found.extend(self._resolved(node, module, inside, depth + 1))
        return list(dict.fromkeys(found)) or [UNKNOWN]

    def _returned(
        self, call: ast.Call, module: Module, inside: Function | None, depth: int
    ) -> list[str]:
        """Give the texts that a function of the same file returns."""
        name = _called(call)
        if name in {"join", "dedent"}:
            return [UNKNOWN]
        if name in {"format", "strip", "capitalize"} and isinstance(call.func, ast.Attribute):
            texts = self._resolved(call.func.value, module, inside, depth)
            return [_without_fields(text) for text in texts]
        found: list[str] = []
        for function in module.functions():
            if function.name == name:
                for node in ast.walk(function):
                    if isinstance(node, ast.Return) and node.value is not None:
                        found.extend(self._resolved(node.value, module, function, depth + 1))
        return list(dict.fromkeys(found)) or [UNKNOWN]

    def _of_table(
        self, name: str, module: Module, inside: Function | None, depth: int
    ) -> list[str]:
        """Give the texts of a table, one of which is picked."""
        bodies = [*(inside.body if inside else []), *module.tree.body]
        for found, value in _assignments(bodies):
            table = value.args[0] if isinstance(value, ast.Call) and value.args else value
            if found == name and isinstance(table, ast.Dict):
                return [t for v in table.values for t in self._resolved(v, module, inside, depth)]
        return [UNKNOWN]

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
    values = dict(_assignments(node.body))
    code = values.get("code")
    return ErrorClass(
        name=node.name,
        base=node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else "",
        code=code.value if isinstance(code, ast.Constant) else None,
        next_step="next_step" in values,
    )


def _assignments(body: Iterable[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
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
                for field in ("body", "orelse", "finalbody", "handlers", "cases"):
                    yield from _assignments(getattr(statement, field, []))


def _called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    """Find an argument by its keyword, or else by its place."""
    for keyword in call.keywords:
        if keyword.arg == name:
            return keyword.value
    return call.args[place] if 0 <= place < len(call.args) else None


def _joined(choices: list[list[str]]) -> list[str]:
    """Put parts behind each other in every way, or in one where there are too many."""
    found = ["".join(texts) for texts in itertools.islice(itertools.product(*choices), MOST + 1)]
    if len(found) <= MOST:
        return found
    return ["".join(texts[0] if len(texts) == 1 else UNKNOWN for texts in choices)]


def _tidy(text: str) -> str:
    """Write what is not known once in a row, and at the front where a name is missing."""
    text = re.sub(f"{UNKNOWN}+", UNKNOWN, text)
    return f"{UNKNOWN}{text}" if text.startswith((":", ",", " ")) else text


def _without_fields(text: str) -> str:
    """Put an ellipsis for each field of a format string."""
    return re.sub(r"\{[^{}]*\}", UNKNOWN, text)
