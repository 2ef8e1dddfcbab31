"""The progress bar: for people only, and it leaves nothing behind."""

from __future__ import annotations

import io

from farthing.cli.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self):
        return True


def drawn(stream, quiet_seconds=0.0):
    with ProgressBar("reading", stream, quiet_seconds=quiet_seconds) as bar:
        bar.update(1, 4)
        bar.update(2, 4)
    return stream.getvalue()


def test_a_terminal_sees_how_far_it_is():
    assert "reading [#######-----------------------]  25%" in drawn(Terminal())


def test_it_is_not_drawn_again_at_once():
    assert "50%" not in drawn(Terminal())


def test_it_wipes_its_line():
    assert drawn(Terminal()).endswith("\r\x1b[K")


def test_what_ends_within_a_second_shows_nothing():
    assert drawn(Terminal(), quiet_seconds=1.0) == ""


def test_a_pipe_sees_nothing():
    assert drawn(io.StringIO()) == ""


def test_nothing_to_do_is_all_done():
    stream = Terminal()
    with ProgressBar("reading", stream, quiet_seconds=0.0) as bar:
        bar.update(0, 0)

    assert "100%" in stream.getvalue()
