"""One folder a provider. Their words end here: what leaves is the normalised schema of the feed messages."""
