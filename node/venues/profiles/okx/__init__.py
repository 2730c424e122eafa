"""What is peculiar about OKX: ``profile`` puts it together."""
