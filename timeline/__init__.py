"""Pictures of time: what the model saw over a whole run, as a picture, as a film, and live on the picture."""
