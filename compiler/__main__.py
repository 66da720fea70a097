"""`python -m compiler IN.tflite -o OUT.tflite --report`: writes the compiled form of a model as a file of its own."""

from __future__ import annotations

from environment import use_venv

if __name__ == "__main__":
    use_venv()

import argparse
import sys
from pathlib import Path
from typing import Sequence

from compiler.build import compile_verified
from compiler.graph import load
from errors import HeadNotUnderstood, ModelError, NotUnderstood, UserError
from model_metadata import copy_files
from runtime import RUNTIMES, Runtime, choose_runtime, load_content, read_model
from signature import read_signature
from tuning import time_runs
from utils import write_whole


def main(arguments: Sequence[str]) -> int:
    """Compiles, verifies and writes; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m compiler", description=__doc__.partition(": ")[2])
    parser.add_argument("model", metavar="IN.tflite", help="a streaming MoViNet model")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.tflite", help="where to write the compiled one")
    parser.add_argument("--precision", choices=("float", "int8"), default="float", help="arithmetic (default: float)")
    parser.add_argument("--horizons", action="store_true", help="let the head read two horizons of memory")
    parser.add_argument("--report", action="store_true", help="print what changed: operators, partitions, bytes, time")
    parser.add_argument("--runtime", choices=RUNTIMES, default="auto", help="what to verify with (default: auto)")
    options = parser.parse_args(arguments)
    try:
        runtime = choose_runtime(options.runtime)
        source = read_model(options.model)
        # A damaged file, or one that takes no stream, must not get to the compiler.
        read_signature(load_content(options.model, source, runtime, threads=1), options.model)
        try:
            compiled = compile_verified(source, runtime, options.precision, options.horizons)
        except NotUnderstood as reason:
            remedy = "leave --horizons off" if isinstance(reason, HeadNotUnderstood) else "run it as it is"
            raise ModelError(f"can't compile {options.model}: {reason}; {remedy}") from None
        compiled = copy_files(source, compiled)
        write_whole(options.output, compiled)
        print(f"verified against {options.model}, fresh and after 100 steps; wrote {options.output}")
        if options.report:
            _report([(Path(options.model).name, source), (Path(options.output).name, compiled)], runtime)
        return 0
    except UserError as error:
        print(f"compiler: {error}", file=sys.stderr)
        return error.status


def _report(models: Sequence[tuple[str, bytes]], runtime: Runtime) -> None:
    """Prints the facts of each model, given by name and content; two may have one name, in different folders."""
    width = max(len(name) for name, _ in models)
    print(f"\n{'':{width}}{'operators':>11}{'partitions':>12}{'bytes':>12}{'ms a run':>10}   {runtime}, 1 thread")
    for name, content in models:
        interpreter = load_content(name, content, runtime, threads=1)
        # Once loaded, each piece that XNNPACK took over stands in the list as one more operator.
        partitions = sum(each["op_name"] == "DELEGATE" for each in interpreter._get_ops_details())
        operators = len(load(content).operators)
        seconds = time_runs(interpreter.invoke)
        print(f"{name:{width}}{operators:11}{partitions:12}{len(content):12,}{seconds * 1e3:10.2f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
