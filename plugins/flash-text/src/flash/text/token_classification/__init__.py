"""Token classification: the names in a text, such as persons and places, as spans with labels."""
