"""Charts as SVG from the server: what is drawn, without a style (the style sheet has it)."""
