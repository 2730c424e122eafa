"""From settings to parts: what the composition root puts together, one function a part."""
