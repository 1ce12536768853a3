"""The error of an image or annotation that can't be used, in a module that loads nothing."""


class BadSample(ValueError):
    """An image or its annotation can't be used. The message names the file and the reason."""
