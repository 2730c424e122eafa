"""What is peculiar about Bitget: ``profile`` puts it together."""
