"""The fault suite: real servers and processes, killed and disturbed at random, and a checker of its own at the end.

`python -m tests.faults.chaos --help` runs it at any length; tests/faults/test_chaos.py runs a short form.
"""
