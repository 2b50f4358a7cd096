"""What every driver promises, on every router that it can meet.

`subject.py` is what a router has to offer to be a subject, `subjects.py` has
them all by name, `test_contract.py` is the suite.
"""
