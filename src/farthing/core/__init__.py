"""The decisions: pure functions and sans-I/O state, with ``now`` as an argument."""

__all__: list[str] = []
