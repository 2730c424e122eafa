"""The HTTP surface: operator socket, locks, health."""
