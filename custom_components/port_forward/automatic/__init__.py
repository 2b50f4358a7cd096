"""Forwards that open by themselves when something happens, or close when nobody uses them."""
