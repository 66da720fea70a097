"""How the demo model was made: drawn clips, a MoViNet in PyTorch, training, export, evaluation; no part of the app."""
