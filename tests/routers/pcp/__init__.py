"""PCP and NAT-PMP: packets, client, driver."""
