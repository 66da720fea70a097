"""The passes, in their order, that make a graph the compiled one."""

from __future__ import annotations

from compiler.constants import fold_constants
from compiler.graph import Graph
from compiler.passes.broadcasts import drop_broadcasts, shrink_constants
from compiler.passes.dequantize import dequantize
from compiler.passes.folding import drop_neutral, fold_constant_arithmetic, fuse_activations
from compiler.passes.order import integers_first
from compiler.passes.quantize import quantize
from compiler.passes.rank import reduce_rank
from compiler.passes.reductions import sums_to_means
from compiler.passes.reshapes import merge_reshapes, sink_reshapes, unify_reshapes
from compiler.passes.sharing import share_equals
from compiler.passes.slices import simplify_slices
from compiler.passes.states import drop_idle_states, merge_counts, reshape_states
from compiler.passes.temporal import dilate_temporal_convolutions
from compiler.storage import store_small

_REAL = (
    dequantize,
    fold_constants,
    unify_reshapes,
    simplify_slices,
    drop_idle_states,
    merge_counts,
    drop_broadcasts,
    shrink_constants,
    reduce_rank,
    merge_reshapes,
    dilate_temporal_convolutions,
    sink_reshapes,
    merge_reshapes,
    drop_broadcasts,
    sums_to_means,
    fold_constant_arithmetic,
    fuse_activations,
    drop_neutral,
    merge_reshapes,
    reshape_states,
    merge_reshapes,
)
_TARGETS = {"float": (*_REAL, share_equals), "int8": (*_REAL, quantize, share_equals)}


def compile_graph(graph: Graph, precision: str = "float", small: bool = True) -> Graph:
    """Rewrites a graph, in place.

    Args:
        graph: As loaded.
        precision: "float": everything is computed in float32. "int8", for sources whose activations are 8-bit integers:
            convolutions and what lies between them are computed with integers as there, pools and the rest in float32.
        small: Whether constants are stored as small as in the source. XNNPACK then unpacks them into memory of its own
            before it packs them for its kernels, and keeps both; float32 constants it packs from where they stand.

    Returns:
        The same graph. Its image is float32 [1, 1, H, W, 3] and its logits are float32. States that do nothing and all
        but one of the frame counts that are always equal have left the signature; the others have their names, float32
        (counts: int32; with "int8", stream buffers: int8), and maybe another shape.

    Raises:
        NotUnderstood: Something in the graph is beyond the compiler; the graph is then spoilt.
    """
    for rewrite in (*_TARGETS[precision], *([store_small] if small else []), integers_first):
        rewrite(graph)
    return graph
