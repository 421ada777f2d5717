"""The embedded sample: synthetic images, drawn so that any machine draws the same."""
