"""Pages that show the run of something that takes a while, because it calls BigCommerce or waits for its quota."""
