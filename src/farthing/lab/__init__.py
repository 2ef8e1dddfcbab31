"""The lab: offline proof of what a policy does, without a key and without a bill."""
