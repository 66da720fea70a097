"""The shapes that a file's tensors have as it runs, where the file leaves sizes open.

For a size that it doesn't know, TensorFlow's converter writes 1, and -1 into the tensor's shape_signature (BuildTensor
in tensorflow/compiler/mlir/lite/flatbuffer_export.cc). Of an input, an open batch or number of frames, that is what the
model then runs with. But what the converter loses track of behind it is written as 1, too, be it 172: after a RESHAPE,
say, to a shape put together by SHAPE, STRIDED_SLICE and PACK. The runtimes don't mind, they find every size anew; the
passes rely on them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from compiler.constants import fold_constants
from compiler.graph import Graph, load, save
from compiler.schema import schema
from errors import NotUnderstood
from runtime import choose_runtime
from signature import run_on_zeros


def load_resolved(content: bytes) -> Graph:
    """Reads a sound .tflite file as load() does, every tensor with its true shape and no size left to be computed.

    Raises:
        NotUnderstood: As load; or some size depends on what the model is given.
        PackageError: As load.
    """
    if schema is None or not _leaves_sizes_open(content):
        return load(content)
    interpreter, _ = _run(content)
    details = interpreter.get_tensor_details()
    graph = load(content, {detail["index"]: tuple(int(size) for size in detail["shape"]) for detail in details})
    fold_constants(graph, integers_only=True)
    _, fixed = _run(save(graph))
    if not fixed:  # A size comes from more than constants and shapes, and may be another one at another run.
        raise NotUnderstood("it computes sizes from what it is given")
    return graph


def _leaves_sizes_open(content: bytes) -> bool:
    model = schema.Model.GetRootAs(content, 0)
    graphs = [model.Subgraphs(number) for number in range(model.SubgraphsLength())]
    tensors = [graph.Tensors(number) for graph in graphs for number in range(graph.TensorsLength())]
    return any(np.any(np.asarray(tensor.ShapeSignatureAsNumpy()) < 0) for tensor in tensors)


def _run(content: bytes) -> tuple[Any, bool]:
    """Runs a model once, on zeros; returns the Interpreter, and whether all sizes were known before."""
    interpreter_class = choose_runtime().interpreter
    # A delegate would keep the shapes of what it computes to itself.
    plain = sys.modules[interpreter_class.__module__].OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = interpreter_class(model_content=content, experimental_op_resolver_type=plain)
    interpreter.allocate_tensors()
    return interpreter, run_on_zeros(interpreter)
