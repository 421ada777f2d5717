"""Reading images, and how alike two of them are: pixels in, pixels and numbers out."""
