"""farthing inside a Python program, on the Claude SDK (``pip install 'farthing[sdk]'``)."""

__all__: list[str] = []
