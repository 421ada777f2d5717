"""What each command of `lung-attention` does; returns its exit code.

Heavy imports stand inside functions, so that no command waits for those of another.
"""
