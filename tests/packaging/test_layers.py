"""The layers of the package: an import never points back up, and csrc stands alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "trunkline"

# From the bottom up. A module may import from its own layer and from those before it; a module at the
# top of the package that is not named here is a public module.
LAYERS = [
    {"buffers", "errors", "extras", "formats", "timeline"},
    {"_native"},
    {"public modules"},
    {"stream"},
    {"net"},
    {"relay"},
    {"switch"},
    {"testing.endpoint", "testing.fixtures"},
    {"convert"},
    {"cli", "__main__"},
]
CIMPORT = re.compile(r"^\s*(?:from\s+(trunkline[\w.]*)\s+c?import|c?import\s+(trunkline[\w.]*))", re.M)


def layer_of(module: str) -> int:
    top, *rest = module.split(".")
    for level, names in enumerate(LAYERS):
        if names & {top, ".".join([top, *rest[:1]])}:
            return level
    return LAYERS.index({"public modules"})


def imported_names(path: Path) -> Iterator[str]:
    """Yield every module of trunkline that a source file imports, at any depth of its code."""
    if path.suffix != ".py":
        for first, second in CIMPORT.findall(path.read_text()):
            yield first or second
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import at line {node.lineno}"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_module(name: str) -> bool:
    path = PACKAGE.joinpath(*name.split("."))
    return path.is_dir() or any(path.with_suffix(end).exists() for end in (".py", ".pyx", ".pxd"))


def edges() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix not in (".py", ".pyx", ".pxd") or path == PACKAGE / "__init__.py":
            continue
        importer = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for name in imported_names(path):
            if name == "trunkline" or not name.startswith("trunkline."):
                continue
            target = name.removeprefix("trunkline.")
            if not is_module(target):  # a name inside a module
                target = target.rpartition(".")[0]
            if target:
                yield importer, target


def test_no_import_points_up() -> None:
    found = list(edges())
    assert len(found) > 20
    upward = [
        f"{importer} imports {target}" for importer, target in found if layer_of(target) > layer_of(importer)
    ]
    assert not upward


@pytest.mark.parametrize("kernel", sorted((ROOT / "csrc").glob("[!tbf]*/*.c")), ids=lambda p: p.name)
def test_kernels_know_neither_python_nor_the_allocator(kernel: Path) -> None:
    text = kernel.read_text()
    assert "Python.h" not in text
    assert not re.search(r"\b(malloc|calloc|realloc|free|pthread_\w+)\s*\(", text)


def test_stages_include_only_what_lies_below_them() -> None:
    order = [
        "cpu",
        "g711",
        "audioop",
        "resample",
        "base64",
        "opus_packet",
        "opus",
        "codec",
        "plc",
        "track",
        "rtp",
        "jitter",
    ]
    for path in (ROOT / "csrc").glob("[!ibf]*/*.[ch]"):
        stage = path.parent.name
        if stage not in order:
            continue
        for header in re.findall(r'#include "trunkline/(\w+)\.h"', path.read_text()):
            assert order.index(header) <= order.index(stage), f"{path.name} includes {header}.h"
