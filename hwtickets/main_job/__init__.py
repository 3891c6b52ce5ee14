"""The stages of a run folder, from the data to the report; search and recipes know nothing of them."""
