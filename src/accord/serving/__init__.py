"""A service: one process that answers all tasks of one or several models.

`models` holds what is served, `requests` reads what is asked, `batching` computes it, `app` is the
service that others call, and `server` runs it.
"""
