"""Sovereign Node: carries out risk commands against exchanges and proves the account flat."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """``__version__``, when it is asked for: reading it takes longer than everything else that an engine imports."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sovereign-node")
    except PackageNotFoundError:  # a source tree that nobody installed
        return "0.0.0"
