"""What is raised for an image file that can't be used."""


class Refused(Exception):
    """The file can't be used; the message is the reason."""
