"""A stand-in for BigCommerce on this machine: its core API, B2B Edition's management API and its webhooks.

What BigCommerce documents is held to; what nothing public says is a guess kept in one named place, or an option.
It keeps everything in memory and knows nothing of the product that is tried against it.
"""
