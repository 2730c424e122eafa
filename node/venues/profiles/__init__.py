"""One file a venue: what is peculiar about it."""
