"""Arrays and tables in, numbers out."""
