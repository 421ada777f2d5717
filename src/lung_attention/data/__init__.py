"""From archives to a manifest: a row an image."""
