"""traffic-duplicator: a launcher before an app's start command copies its live HTTP traffic elsewhere."""

__version__ = "0.1.0"
