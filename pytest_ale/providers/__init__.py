"""Where sandboxes come from, one provider a module.

Know nothing of tasks, of agents, or of each other.
"""
