"""Passes over a graph: each is one function that edits it in place and leaves what it computes as it is."""
