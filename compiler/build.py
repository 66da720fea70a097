"""Compiles a model and proves the result, by running it, before anyone relies on it."""

from __future__ import annotations

from compiler.graph import refuse_odd_graphs, save
from compiler.horizons import add_horizons
from compiler.passes.border import give_newest, give_probabilities, take_bytes
from compiler.pools import find_pools
from compiler.precision import agree, choose_precision
from compiler.rewrite import compile_graph
from compiler.shapes import load_resolved
from compiler.verify import TOLERANCE, difference, real_form, sampled_logits
from errors import NotUnderstood
from memory import METADATA, write_pools
from pixel_range import range_inside, real_levels
from runtime import Runtime


def compile_best(
    source: bytes, runtime: Runtime, precision: str, horizons: bool, for_engine: bool = False
) -> tuple[str, bytes]:
    """Compiles a sound .tflite file to the precision asked for, or, with "auto", to the one that is best here.

    The arguments are those of compile_verified.

    Returns:
        The precision chosen, "float" or "int8", and the compiled file.

    Raises:
        NotUnderstood: Something in it is beyond the compiler, or the result isn't the same function.
        PackageError: Neither package that brings the format's schema is installed.
    """
    if precision != "auto":
        return precision, compile_verified(source, runtime, precision, horizons, for_engine)
    real = compile_verified(source, runtime, "float", horizons, for_engine)
    try:
        integer = compile_model(source, "int8", horizons, for_engine)
    except NotUnderstood:  # as of every source that isn't made of 8-bit integers
        return "float", real
    chosen = choose_precision(real, integer, runtime)
    return chosen, integer if chosen == "int8" else real


def compile_verified(
    source: bytes, runtime: Runtime, precision: str, horizons: bool, for_engine: bool = False
) -> bytes:
    """Compiles a sound .tflite file and runs the result beside it.

    Args:
        source: Content of the file.
        runtime: To run both with.
        precision: "float", held to what the source computes in real numbers, or "int8", held to rounding errors.
        horizons: Whether the head is to read two horizons of memory, see compiler/horizons.py.
        for_engine: As for prepare.

    Raises:
        HeadNotUnderstood: There can't be two horizons.
        NotUnderstood: Something in it is beyond the compiler, or the result isn't the same function.
        PackageError: Neither package that brings the format's schema is installed.
    """
    compiled = compile_model(source, precision, horizons, for_engine)
    if precision == "int8":
        if not agree(sampled_logits(compiled, runtime), sampled_logits(real_form(source), runtime)):
            raise NotUnderstood("rounded to 8 bits throughout, it would say something else")
    else:
        error = difference(source, compiled, runtime)
        if not error <= TOLERANCE:
            raise NotUnderstood(f"the compiled logits were {error:.1e} off")
    return compiled


@refuse_odd_graphs()
def compile_model(source: bytes, precision: str, horizons: bool, for_engine: bool = False) -> bytes:
    """Compiles a sound .tflite file, and lists its pools in the result's metadata.

    The arguments are those of compile_verified.

    Raises:
        HeadNotUnderstood: There can't be two horizons.
        NotUnderstood: Something in it is beyond the compiler.
        PackageError: Neither package that brings the format's schema is installed.
    """
    graph = load_resolved(source)
    compile_graph(graph, precision, small=not for_engine)
    if horizons:
        add_horizons(graph)
    graph.metadata[METADATA] = write_pools(find_pools(graph))
    if for_engine:
        if (real_levels(*range_inside(source)) == real_levels(None, None)).all():  # 0 to 1, not another range
            take_bytes(graph)
        give_probabilities(graph)
        give_newest(graph)
    return save(graph)
