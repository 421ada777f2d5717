"""Where archives and backbone weights come from."""
