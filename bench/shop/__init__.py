"""A load test with locust: the customers of a betting shop (locustfile.py).

A folder of its own, because locust looks for modules beside its files first: in bench/ it would take core.py for core/.
"""
