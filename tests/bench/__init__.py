"""The measurements themselves: that they can be made, not what comes of them."""
