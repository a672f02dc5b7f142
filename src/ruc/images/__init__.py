"""Images in: finding them, decoding them, batches of them."""
