"""Nothing that bnbench reads from a file can run code: read off its own source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import bnbench

_FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}


def _sources() -> Iterator[tuple[Path, ast.Module]]:
    for path in Path(bnbench.__file__).parent.rglob("*.py"):
        yield path, ast.parse(path.read_text())


def _calls(tree: ast.Module) -> Iterator[tuple[str, dict[str, str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {str(k.arg): ast.unparse(k.value) for k in node.keywords}


def test_nothing_is_unpickled() -> None:
    for path, tree in _sources():
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        parts = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        written = (
            {"pickle"} if {a.name for n in parts if n.module == "pickle" for a in n.names} == {"Pickler"} else set()
        )
        imported |= {str(node.module) for node in parts} - written  # a Pickler only writes
        assert not {name.partition(".")[0] for name in imported} & _FORBIDDEN, path
        for call, given in _calls(tree):
            if call in {"torch.load", "torch.hub.load", "load_from_checkpoint"}:
                assert given.get("weights_only") == "True", path
            if call in {"np.load", "numpy.load"}:
                assert given.get("allow_pickle", "False") == "False", path
            assert call not in {"joblib.load", "pd.read_pickle", "yaml.load", "yaml.unsafe_load", "eval", "exec"}, path


def test_torch_files_are_read_somewhere() -> None:
    assert any(call == "torch.load" for _, tree in _sources() for call, _ in _calls(tree))
