"""An outside plugin of a new domain: which tone a recording is of."""
