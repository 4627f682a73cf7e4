"""``enrich sandbox``: a BigCommerce of one's own to try things against."""
