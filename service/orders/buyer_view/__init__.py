"""What a buyer sees in the Buyer Portal, held against B2B Edition's record."""
