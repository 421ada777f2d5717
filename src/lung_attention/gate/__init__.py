"""Whether a change of code or parameters makes a result worse than a reference."""
