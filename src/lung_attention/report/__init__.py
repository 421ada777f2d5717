"""The page and the model cards, generated from committed results."""
