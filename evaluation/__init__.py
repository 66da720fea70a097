"""What evaluate.py measures: how often models are right on labelled clips, how soon, and for how long on a stream."""
