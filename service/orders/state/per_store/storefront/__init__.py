"""What lets a worker write as a store's buyers: who orders, and the tokens that are held for them."""
