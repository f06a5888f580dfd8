"""What is particular to this repository: nothing yet."""
