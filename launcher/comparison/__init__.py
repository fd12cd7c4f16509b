"""What a comparison of answers comes to: figures, verdict, and the report as text and as a page. Pure.

The replayer gathers (launcher/replay/comparison), this reckons and shows. What goes between them is one dict of plain
JSON, bounded in size: docs/comparison.md has its form.
"""
