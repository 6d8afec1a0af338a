"""What runs on the target, inside the environment's own Python.

These modules are sent over the connection (see verify/target/remote.py), never installed: they may use the standard
library, numpy and the framework they probe, and nothing else of this project but each other. They only observe and
report; what is right or wrong is decided by verify/checks/framework.py on the controller.

Their syntax stays that of Python 3.9, so that a profile with an older Python can be probed as well.
"""
