"""What benchmark.py measures with: rows in processes of their own, the table, the plot, a drawn camera, the loop."""

PLAIN_LOOP, PUBLISHED, COMPILED_FLOAT, COMPILED_INT8 = "plain loop", "published", "compiled float", "compiled int8"
