"""Where networks look, and what maps of it are worth."""
