"""A whole node in virtual time that can be killed at any instant, and the world around it."""
