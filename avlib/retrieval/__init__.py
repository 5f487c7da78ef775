"""Suggesting sounds for pictures, and the index that makes it fast. Reads a warehouse without Spark."""
