"""The built-in harnesses, one small file each; installed as `pytest_ale.harnesses`."""
