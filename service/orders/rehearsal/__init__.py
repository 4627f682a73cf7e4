"""`enrich rehearse`: measures on a test store what BigCommerce's documentation leaves open."""
