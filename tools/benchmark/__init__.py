"""Speed and memory: the published way against this one, the least that is possible, growth, overheads.

python -m tools.benchmark     # writes benchmarks/results.json, and its tables into docs/
"""
