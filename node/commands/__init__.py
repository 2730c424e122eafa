"""What the command line's commands do: one module a group, none of them importing what it does not need."""
