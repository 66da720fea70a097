"""Teaching a streaming MoViNet actions of one's own: its body stays as it is, its classifier is fitted anew."""
