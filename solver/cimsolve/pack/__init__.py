"""How few arrays hold the blocks: packing by block shapes, with proven bounds. Pure functions, no specs."""
