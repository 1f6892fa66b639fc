"""The nouns: what every room means by batch, partition, label and the ports. Nothing here does any work."""
