"""Benchmarks against the simulators: programs, not tests (``python -m tests.bench.speed``)."""
