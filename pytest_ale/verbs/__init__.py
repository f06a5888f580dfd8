"""Verbs of the `ale` command that are a file each, and what all verbs share."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_ale.settings import Settings, read_settings

__all__ = ["Complaint", "settings_here"]


class Complaint(Exception):
    """A wrong use of the command: one line, exit status 2."""


def settings_here() -> Settings:
    """Settings as a pytest run here would have them, without its options and ini file."""

    def unset(_: str) -> None:
        return None

    return read_settings(unset, os.environ, unset, Path.cwd(), Path.cwd())
