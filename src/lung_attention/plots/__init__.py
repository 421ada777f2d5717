"""Arrays and axes in, axes out: nothing here reads or saves a file."""
