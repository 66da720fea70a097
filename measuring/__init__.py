"""What benchmark.py measures with: rows in processes of their own, the table, the plot, a drawn camera, the loop."""

PLAIN_LOOP, PUBLISHED, COMPILED_FLOAT, COMPILED_INT8 = "plain loop", "published", "compiled float", "compiled int8"

PRECISIONS = {COMPILED_FLOAT: "float", COMPILED_INT8: "int8"}

MEMORY = 12
"""Frames that the compiled models remember, as classify.py does by default: 2.4 s at 5 fps."""
