"""How fast the node is, each figure beside the floor of the same run: ``python -m tests.bench.speed``."""
