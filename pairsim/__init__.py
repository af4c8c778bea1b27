"""pairsim keeps a simulated world running through failures."""
