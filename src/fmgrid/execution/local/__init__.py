"""An executor of worker processes on this machine."""
