"""Sovereign Node: carries out risk commands against exchanges and proves the account flat."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sovereign-node")
except PackageNotFoundError:  # a source tree that nobody installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
