"""What runs in the background. Imports ``service``, never the other way round."""
