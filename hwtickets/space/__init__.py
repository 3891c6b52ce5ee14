"""What can be removed from a supernet, and the deployed graph as a function of what is kept."""
