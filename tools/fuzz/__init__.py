"""Fuzzing of the parsers that looks at what their code does with an input (libFuzzer, by atheris)."""
