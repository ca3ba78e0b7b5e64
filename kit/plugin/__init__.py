"""
What the pytest plugin gives to somebody's tests: fixtures, stand-ins, signed webhooks, journeys.

`kit.pytest_plugin` registers `fixtures`, which imports the rest when a test first asks for it.
"""
