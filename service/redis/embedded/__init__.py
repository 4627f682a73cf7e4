"""The Redis server that `enrich up`, the demo and the tests bring along."""
