"""Every private name of another library that the package relies on, one touch each, in one module per library.

A private name may change in any release. Each touch says what it does, in which version it was seen, why no public
name does it and what it is called upstream; `tests/test_foreign.py` holds one contract per touch, and finds any private
name used elsewhere.
"""
