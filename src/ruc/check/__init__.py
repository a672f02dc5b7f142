"""Which images to ask a person about, and what the answers say of all of them."""
