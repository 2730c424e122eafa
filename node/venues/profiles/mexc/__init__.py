"""What is peculiar about MEXC: ``profile`` puts it together."""
