"""Conformance: that an agent's work means here what any other's does.

Knows no agent: how a scripted model has it work is the harness's word (rehearsal.py), and what its
program cannot do is its test's, in a `Subject`. An agent of an installed plugin is put to it by a
test of yours, on a machine with docker and its kit:

    from pytest_ale.testing.conformance import Subject, does_a_task, tells_failures

    def test_it_does_a_task(tmp_path):
        does_a_task(Subject("acme"), tmp_path)

    def test_it_tells_failures(tmp_path):
        tells_failures(Subject("acme"), tmp_path)
"""

from pytest_ale.testing.failures import tells_failures
from pytest_ale.testing.subject import WAYS, Subject
from pytest_ale.testing.whole_task import does_a_task

__all__ = ["WAYS", "Subject", "does_a_task", "tells_failures"]
