"""An outside plugin of a new domain: what comes after the end of a time series, with quantiles."""
