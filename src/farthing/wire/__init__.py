"""The Claude API as data: requests without losing a byte, answers, streams, validity, fingerprints.

Nothing is imported here: each module is imported by its own name, so that whoever needs the JSON
scanner alone (the emulator, which shares no other code with us) gets no more than that.
"""

__all__: list[str] = []
