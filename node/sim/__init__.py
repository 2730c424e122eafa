"""Wire-level venue simulators, the embedded broker and the demo."""
