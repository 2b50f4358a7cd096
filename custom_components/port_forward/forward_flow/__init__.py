"""The flow that adds a forward to a router or edits it, by what is asked."""
