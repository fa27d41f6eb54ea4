"""What the tests of SNGAN share."""

import sys

import pytest


@pytest.fixture
def call(monkeypatch):
    """`call(program, flag, …)` runs a program's `main` here, without starting an interpreter."""

    def run(program, *arguments):
        monkeypatch.setattr(sys, "argv", [program.__file__, *(str(x) for x in arguments)])
        program.main()

    return run
