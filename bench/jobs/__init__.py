"""The same jobs, written once for each engine. A job is `name(data, out)`; `rows.py` names them."""
