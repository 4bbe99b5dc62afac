"""The engine as a process: the pure core between NATS, the journal and the world.

Reading order: lane (in and out of a connection, quickly), gateway (requests and feeds in, answers out), trading and
notices (what customers and the desk are told), books, publisher and images (what the world is told), takeover, status
and http (what operators see), service (all of it together).
"""
