"""What is kept of a supernet: importance, the draw, masks and tickets."""
