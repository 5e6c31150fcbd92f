"""Use cases: observe, decide, act. One file each; the outside world comes in through ``ports``."""
