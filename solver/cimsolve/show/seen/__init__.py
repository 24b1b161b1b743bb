"""What is drawn, as plain columns: counted and aggregated from solutions that passed the checker. Draws nothing."""
