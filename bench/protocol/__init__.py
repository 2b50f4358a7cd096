"""What the protocol costs: our driver, its peers and a bare socket on one router, in turns."""
