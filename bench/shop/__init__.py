"""A load test with locust: the customers of a betting shop, on any day (locustfile.py) or the night of a match.

A folder of its own, because locust looks for modules beside its files first: in bench/ it would take core.py for core/.
"""
