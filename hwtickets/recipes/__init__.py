"""What is done around a draw: pipelines, recipes for the drawn ticket, transfer to another task."""
