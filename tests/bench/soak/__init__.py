"""An hour of mixed traffic with faults: does what the daemon uses level off?"""
