"""Ways to talk to a machine.

Know nothing of who made the machine.
"""
