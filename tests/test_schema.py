"""Without ai-edge-litert, as on 32-bit systems, the package tflite brings the format, and all is done as with it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from conftest import DATA, INSTALLED, ROOT

litert = pytest.importorskip("ai_edge_litert.schema_py_generated", reason="ai-edge-litert is what is compared with")
tflite = pytest.importorskip("tflite", reason="the package tflite isn't installed: pip install tflite")
KINDS = [name for name in vars(litert.BuiltinOptions) if not name.startswith("_") and name != "NONE"]
VECTORS: dict[str, Any] = {  # What else is a field of options, but not a number.
    "newShape": np.array([1, -1], np.int32),
    "squeezeDims": np.array([0, 2], np.int32),
    "boundaries": np.array([0.5, 1.5], np.float32),
    "numColumnsPerChannel": np.array([3], np.int32),
    "embeddingDimPerChannel": np.array([4, 5], np.int32),
    "container": b"a container",
    "sharedName": b"",
}
needs_runtime = pytest.mark.skipif("tflite" not in INSTALLED, reason="without ai-edge-litert, needs tflite-runtime")

# Prints where the schema comes from, what a model's pools are, and its compiled forms, for all programs and for the
# engine, as hashes.
COMPILE = """
import hashlib, json, sys
from compiled import pools_of
from compiler.build import compile_model
from compiler.schema import schema
from errors import NotUnderstood
content, said = open(sys.argv[1], "rb").read(), {"from": schema.ModelT.__module__}
try:
    said["pools"] = list(map(str, pools_of(content)))
    for precision in ("float", "int8"):
        compiled = [compile_model(content, precision, True, for_engine) for for_engine in (False, True)]
        said[precision] = [hashlib.sha256(each).hexdigest() for each in compiled]
except NotUnderstood as reason:
    said["reason"] = str(reason)
print(json.dumps(said))
"""
# Teaches a model in tflite-runtime, and prints where the schema comes from and the file's hash.
TEACH = """
import hashlib, json, sys
from compiler.schema import schema
from teaching.network import Backbone, write_model
from utils import read_labels
weights, bias = Backbone(sys.argv[1], memory=12, runtime="tflite").classifier
labels = [f"action {number}" for number in range(len(bias))]
written = write_model(sys.argv[1], -weights, bias, labels, sys.argv[2], description={}, runtime="tflite", force=True)
print(json.dumps({"from": schema.ModelT.__module__, "file": hashlib.sha256(written.read_bytes()).hexdigest()}))
"""


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a Python that has no ai-edge-litert, nor have its children."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "ai_edge_litert").mkdir()
    refusal = "raise ModuleNotFoundError('No module named ai_edge_litert', name='ai_edge_litert')\n"
    (folder / "ai_edge_litert" / "__init__.py").write_text(refusal)
    return {**os.environ, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(folder / "cache")}


@pytest.fixture(scope="module")
def made() -> Any:
    """The schema that is made from the package tflite, in this process."""
    spec = importlib.util.spec_from_file_location("schema_without", ROOT / "compiler" / "schema.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "ai_edge_litert.schema_py_generated", None)
        spec.loader.exec_module(module)
    assert module.schema is not litert
    return module.schema


def say(program: str, *arguments: object, environment: dict[str, str] | None = None) -> Any:
    """Runs a program in a child; returns what it prints, read as JSON."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    child = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=110)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


def both(program: str, *arguments: object, without: dict[str, str]) -> tuple[Any, Any]:
    """What it says with ai-edge-litert and without."""
    first, second = say(program, *arguments), say(program, *arguments, environment=without)
    assert (first.pop("from"), second.pop("from")) == ("ai_edge_litert.schema_py_generated", "compiler.schema")
    return first, second


def packed(table: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(table.Pack(builder))
    return bytes(builder.Output())


def plain(table: Any) -> dict[str, Any]:
    """A table's fields; vectors as lists."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(table).items()}


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_read_and_written_alike(made: Any, kind: str) -> None:
    given, fresh = getattr(litert, f"{kind}T")(), getattr(made, f"{kind}T")()
    newer = vars(given).keys() - vars(fresh).keys()
    assert vars(fresh).items() <= vars(given).items() and newer <= {"quantSpec"}
    for name, default in vars(given).items():
        if name not in newer:
            setattr(given, name, VECTORS[name] if default is None else type(default)(not default))
    operator = litert.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 300, np.array([1, -1], np.int32), np.zeros(0, np.int32)
    operator.builtinOptions, operator.builtinOptionsType = given, getattr(litert.BuiltinOptions, kind)
    content = packed(operator)

    read = made.OperatorT.InitFromPackedBuf(content)
    assert packed(read) == content
    assert type(read.builtinOptions) is type(fresh)
    expected = plain(litert.OperatorT.InitFromPackedBuf(content).builtinOptions)
    assert plain(read.builtinOptions) == {name: value for name, value in expected.items() if name not in newer}
    written, same = made.OperatorT(), vars(operator)
    vars(written).update(same)
    written.builtinOptions = fresh
    vars(fresh).update((name, value) for name, value in vars(given).items() if name not in newer)
    assert packed(written) == content


@pytest.mark.parametrize("name", "BuiltinOperator BuiltinOptions TensorType Padding ActivationFunctionType".split())
def test_numbers_have_the_same_names(made: Any, name: str) -> None:
    ours, theirs = vars(getattr(made, name)), vars(getattr(litert, name))
    names = [each for each in ours if not each.startswith("_")]
    assert names and [ours[each] for each in names] == [theirs[each] for each in names]


def test_what_a_union_holds_may_be_unknown(made: Any) -> None:
    operator = litert.OperatorT()
    operator.builtinOptions, operator.builtinOptionsType = litert.AddOptionsT(), 250
    assert made.OperatorT.InitFromPackedBuf(packed(operator)).builtinOptions is None


@pytest.mark.parametrize("model", ["tiny", "tiny_quantized", "demo", "movinet", "movinet_se"])
def test_a_model_is_compiled_to_the_same_file(
    request: pytest.FixtureRequest, without: dict[str, str], model: str
) -> None:
    with_it, without_it = both(COMPILE, request.getfixturevalue(f"{model}_model"), without=without)
    assert with_it["pools"] and with_it["float"]
    assert ("int8" in with_it) == (model in ("movinet", "movinet_se"))
    assert without_it == with_it


def test_what_is_too_new_is_left_as_it_is(tmp_path: Path, without: dict[str, str]) -> None:
    model = litert.ModelT.InitFromPackedBuf((DATA / "tiny.tflite").read_bytes(), 0)
    model.operatorCodes[0].builtinCode = 5000
    (tmp_path / "new.tflite").write_bytes(packed(model))
    for said in both(COMPILE, tmp_path / "new.tflite", without=without):
        assert said == {"reason": "it uses the operator number 5000, which is not known here"}


@needs_runtime
@pytest.mark.parametrize(("model", "video"), [("demo", None), ("movinet", "carving_ice_video")])
def test_the_program_says_the_same(
    request: pytest.FixtureRequest, without: dict[str, str], model: str, video: str | None
) -> None:
    file = request.getfixturevalue(f"{model}_model")
    source = ROOT / "docs" / "demo.gif" if video is None else request.getfixturevalue(video)
    command = [sys.executable, str(ROOT / "classify.py"), "--model", str(file), "--source", str(source)]
    command += ["--display", "none", "--jsonl", "-", "--threads", "1", "--precision", "float", "--top-k", "5"]

    def top(environment: dict[str, str], *more: str) -> list[Any]:
        run = subprocess.run([*command, *more], capture_output=True, text=True, env=environment, timeout=110)
        assert run.returncode == 0, run.stderr
        assert "compiled to float in" in run.stderr and "bounded" not in run.stderr
        assert "tflite-runtime" in run.stderr
        return [json.loads(line)["top"] for line in run.stdout.splitlines()]

    cache = {"XDG_CACHE_HOME": str(Path(without["XDG_CACHE_HOME"]).with_name("other"))}
    said = top(without)
    assert len(said) > 20
    assert said == top({**os.environ, **cache}, "--runtime", "tflite")


@needs_runtime
def test_what_is_taught_is_the_same(tiny_model: Path, tmp_path: Path, without: dict[str, str]) -> None:
    with_it, without_it = both(TEACH, tiny_model, tmp_path / "mine.tflite", without=without)
    assert with_it == without_it
