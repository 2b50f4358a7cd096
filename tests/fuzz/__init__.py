"""What a router could send to harm us, made up by the thousand, for every parser."""
