"""What is peculiar about Gate: ``profile`` puts it together."""
