"""The one error that is shown to people."""


class ClusterError(Exception):
    """Something a person can act on; its text is printed as one line, without a traceback."""
