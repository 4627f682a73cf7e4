"""A stand-in for BigCommerce on this machine: its core API, B2B Edition's two APIs and its webhooks.

It behaves as BigCommerce documents. Behaviour that is not documented is a guess, kept in one named place or an option.
It keeps everything in memory and imports nothing of the product that is tested against it.
"""
