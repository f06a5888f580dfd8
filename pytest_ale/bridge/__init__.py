"""The bridge: programs that run inside a sandbox and work its screen, shell and files for others.

Knows nothing of pytest_ale: the folder is a package of its own wherever it lies, for Python 3.10
and later; its modules import each other by relative imports. `python3 FOLDER NAME` runs
`NAME.main()` (see __main__.py), and so does `python3 -m pytest_ale.bridge NAME`.
"""
