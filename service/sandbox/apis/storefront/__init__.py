"""B2B Edition's storefront API: what a buyer sees in the Buyer Portal."""
