"""The house rules as functions: given code, text or an app, return what breaks them, in words."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from flask import Flask

ROOT = Path(__file__).resolve().parents[2]
SCHEDULER = ROOT / "scheduler"

MAY_COMMIT = {"scheduler/core/db.py"}
# A file that is served as it is; it says nothing about anyone.
OPEN_ENDPOINTS = {"static"}


def python_files() -> dict[str, str]:
    """Return the text of each module of the product by its path in the checkout."""
    return {
        file.relative_to(ROOT).as_posix(): file.read_text()
        for file in sorted(SCHEDULER.rglob("*.py"))
    }


def commits(files: dict[str, str]) -> list[str]:
    """Return where a transaction is ended by hand outside of the one place that does it."""
    return [
        f"{path}:{call.lineno} calls .{call.func.attr}()"
        for path, text in files.items()
        if path not in MAY_COMMIT
        for call in _calls(text)
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("commit", "rollback")
    ]


def constructions(files: dict[str, str]) -> list[str]:
    """Return where a row is made outside of the room that owns its table.

    Sees `Model(...)`, `models.Model(...)` and `Model` imported under another name, and the ways
    around a constructor: `insert(Model)`, `update(Model)` and `delete(Model)`.
    """
    homes = _homes(files)
    found = []
    for path, text in files.items():
        names = _names_of(text, homes)
        for call in _calls(text):
            called = _last_name(call.func)
            if called in ("insert", "update", "delete") and call.args:
                called = _last_name(call.args[0])
            model = names.get(called, called)
            if model in homes and homes[model] != _room(path):
                found.append(f"{path}:{call.lineno} writes a {model}, which is {homes[model]}'s")
    return found


def unguarded(app: Flask) -> list[str]:
    """Return each blueprint without a declared guard and each route outside of a blueprint."""
    found = []
    for name, blueprint in app.blueprints.items():
        guard = getattr(blueprint, "guard", None)
        registered = {check.__name__ for check in app.before_request_funcs.get(name, [])}
        if not guard:
            found.append(f"blueprint {name} declares no guard (guards.protect)")
        elif guard not in registered:
            found.append(f"blueprint {name} says its guard is {guard}, which no request meets")
    for rule in app.url_map.iter_rules():
        if rule.endpoint in OPEN_ENDPOINTS:
            continue
        view = app.view_functions[rule.endpoint]
        if rule.endpoint.rpartition(".")[0] not in app.blueprints:
            found.append(f"{rule.rule} ({view.__name__}) belongs to no blueprint, so to no guard")
    return found


def untyped_parameters(app: Flask) -> list[str]:
    """Return each route whose path has a parameter of no stated type."""
    return [
        f"{rule.rule}: say what <{name}> is, as in <int:{name}>"
        for rule in app.url_map.iter_rules()
        for name in re.findall(r"<([^:<>]+)>", rule.rule)
    ]


def crooked_paths(app: Flask) -> list[str]:
    """Return each route with a word that is not small letters, digits and hyphens."""
    found = []
    for rule in app.url_map.iter_rules():
        if rule.endpoint in OPEN_ENDPOINTS:
            continue
        words = re.sub(r"<[^>]*>", "", rule.rule).split("/")
        if not all(re.fullmatch(r"[a-z0-9.]*(-[a-z0-9.]+)*", word) for word in words):
            found.append(f"{rule.rule}: write paths-like-this")
    return found


def templates() -> dict[str, str]:
    """Return the text of each template by its path in the checkout."""
    folder = ROOT / "templates"
    return {file.relative_to(ROOT).as_posix(): file.read_text() for file in folder.rglob("*.html")}


def tokenless_forms(files: dict[str, str]) -> list[str]:
    """Return each form that sends data without the token that says it is one of ours."""
    return [
        f"{path}: {form.group(1)} has no token"
        for path, text in files.items()
        for form in re.finditer(r"(<form\b[^>]*method=\"post\"[^>]*>)(.*?)</form>", text, re.DOTALL)
        if not re.search(r"\b(csrf|csrf_token|token|hidden)\(", form.group(2))
    ]


# Put together here so that this file does not hold what it looks for.
_REGISTRIES = [
    *(f"{name}.org" for name in ("pypi", "files.pythonhosted", "registry.npmjs", "deb.debian")),
    *(f"{name}.com" for name in ("registry.yarnpkg", "proxy.golang", "npmjs")),
    *(f"{name}.io" for name in ("registry.docker",)),
]
_MACHINES = ["/" + "home/", "/" + "Users/", "/" + "root/", "/" + "work/", "/" + "opt/"]
_PLACES = [
    ("names the package registry", re.compile("|".join(re.escape(host) for host in _REGISTRIES))),
    # Not inside an address or a longer path: `/work/` but neither `https://x/work/` nor `/a/work/`.
    ("names a folder of one machine,", re.compile(rf"(?<![\w./~>-])({'|'.join(_MACHINES)})\w+")),
]


def places(files: dict[str, str]) -> list[str]:
    """Return where a text names a package registry's host or a folder of one machine."""
    return [
        f"{path}:{number} {what} {match.group()}"
        for path, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in _PLACES
        for match in pattern.finditer(line)
    ]


def _calls(text: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))


def _homes(files: dict[str, str]) -> dict[str, str]:
    """Return the room of each model: every descendant of `Model` in a room's models.

    A room may keep them in `models.py` or in a package `models/`.
    """
    classes: dict[str, tuple[str, set[str]]] = {}
    for path, text in files.items():
        if not re.fullmatch(r"scheduler/\w+/models(\.py|/.+\.py)", path):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                bases = {_last_name(base) for base in node.bases}
                classes[node.name] = (_room(path), bases)
    models = {"Model"}
    while True:
        more = {name for name, (_, bases) in classes.items() if bases & models} | {"Model"}
        if more == models:
            break
        models = more
    return {name: classes[name][0] for name in models - {"Model"}}


def _names_of(text: str, homes: Iterable[str]) -> dict[str, str]:
    """Return what models are called in this module, where that is not their name."""
    return {
        alias.asname: alias.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and alias.name in homes
    }


def _last_name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _room(path: str) -> str:
    return path.split("/")[1]
