"""Focused Attention: does sharpening attention with its span help a speech recogniser?"""

__version__ = "0.1.0"
