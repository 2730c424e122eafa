"""The risk API on another machine: signs commands, sends them over the broker, and tells what the nodes answer."""
