"""What owners want for their roots: the newest word of each is known here, renewed in the network,
changed by its owner and told to holders."""
