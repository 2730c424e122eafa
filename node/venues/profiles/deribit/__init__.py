"""What is peculiar about Deribit: ``profile`` puts it together."""
