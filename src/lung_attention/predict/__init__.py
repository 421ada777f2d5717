"""Models that leave the project, and what they say of images of anyone's."""
