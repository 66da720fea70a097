"""Rewrites a streaming MoViNet .tflite graph into an equivalent one that spends its time on the arithmetic.

Imports nothing here: `python -m compiler` looks for the packages only once this file has been run.
"""
